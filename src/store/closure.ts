/** Everything that a tree refers to, directly or not: whether it is all in the store. */
import { type Digest, digestHex } from '../core/digest.ts';
import { checkInterrupted } from '../core/errors.ts';
import type { ObjectKind } from '../core/ports.ts';
import { decodeRecipe, isBlock, type Segment } from '../core/recipe.ts';
import { decodeTree, type TreeEntry } from '../core/tree.ts';
import type { Catalog } from './catalog.ts';
import { saysDamage } from './damage.ts';
import type { EntryReader } from './entry-reader.ts';
import { RowSet } from './entry-table.ts';

export interface Closure {
  /** Rows of the trees and recipes that were visited, the root included. */
  visited: Record<ObjectKind, RowSet>;
  /** What is referred to but lost, damaged or never came; the first few of them, as sentences. */
  missing: string[];
}

export interface ClosureOptions {
  /** Whether an object and all below it is known to be there already: then it is not visited. */
  isComplete(kind: ObjectKind, row: number): boolean;
  signal?: AbortSignal;
}

/** Objects read at once, in the order of packs. */
const batchObjects = 512;

const missingMax = 10;

/** Visits the trees and recipes below the tree `root`, each once. Memory: a bit per object, and the digests in hand. */
export async function findClosure(
  catalog: Catalog,
  reader: EntryReader,
  root: Digest,
  options: ClosureOptions,
): Promise<Closure> {
  const walk = new ClosureWalk(catalog, options);
  walk.meet('tree', root);
  for (let batch = walk.next(); batch.digests.length > 0 && !walk.full; batch = walk.next()) {
    checkInterrupted(options.signal);
    await reader.prefetch(batch.kind, batch.digests, options);
    for (const digest of batch.digests) await walk.visit(reader, batch.kind, digest);
  }
  return walk.closure;
}

class ClosureWalk {
  readonly closure: Closure = { visited: { tree: new RowSet(), recipe: new RowSet() }, missing: [] };
  readonly #catalog: Catalog;
  readonly #options: ClosureOptions;
  readonly #waiting: Record<ObjectKind, Digest[]> = { tree: [], recipe: [] };

  constructor(catalog: Catalog, options: ClosureOptions) {
    this.#catalog = catalog;
    this.#options = options;
  }

  /** Enough is missing to say so. */
  get full(): boolean {
    return this.closure.missing.length >= missingMax;
  }

  /** The objects to visit next; recipes first, so that few wait. */
  next(): { kind: ObjectKind; digests: Digest[] } {
    const kind = this.#waiting.recipe.length > 0 ? 'recipe' : 'tree';
    return { kind, digests: this.#waiting[kind].splice(-batchObjects) };
  }

  /** Takes note of a reference to an object. */
  meet(kind: ObjectKind, digest: Digest): void {
    const row = this.#catalog.rowOfHeld(kind, digest);
    if (row < 0) this.#miss(`${kind} ${digestHex(digest)} is not in the store`);
    else if (!this.#options.isComplete(kind, row) && this.closure.visited[kind].add(row)) {
      this.#waiting[kind].push(digest);
    }
  }

  async visit(reader: EntryReader, kind: ObjectKind, digest: Digest): Promise<void> {
    try {
      const bytes = await reader.read(kind, digest);
      if (!bytes) return this.#miss(`${kind} ${digestHex(digest)} is not in the store`);
      if (kind === 'recipe') this.#meetSegments(decodeRecipe(bytes).segments);
      else for (const entry of decodeTree(bytes)) this.#meetEntry(entry);
    } catch (error) {
      if (!saysDamage(error)) throw error;
      this.#miss(error.message);
    }
  }

  #meetEntry(entry: TreeEntry): void {
    if (entry.kind === 'directory') this.meet('tree', entry.tree);
    else if (entry.kind !== 'file') return;
    else if ('recipe' in entry.content) this.meet('recipe', entry.content.recipe);
    else if ('segments' in entry.content) this.#meetSegments(entry.content.segments);
  }

  #meetSegments(segments: readonly Segment[]): void {
    for (const segment of segments) {
      if (isBlock(segment) && this.#catalog.rowOfHeld('block', segment.digest) < 0) {
        this.#miss(`block ${digestHex(segment.digest)} is not in the store`);
      }
    }
  }

  #miss(sentence: string): void {
    if (!this.full) this.closure.missing.push(sentence);
  }
}
