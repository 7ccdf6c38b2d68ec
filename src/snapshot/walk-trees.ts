/** Walks the trees of a cut as far as the store lacks them, and gathers the blocks needed. */
import type { Digest } from '../core/digest.ts';
import { checkInterrupted } from '../core/errors.ts';
import { decodeRecipe } from '../core/recipe.ts';
import { decodeTree, type TreeEntry } from '../core/tree.ts';
import { DigestTable } from './digest-table.ts';
import type { NeededGatherer } from './needed-blocks.ts';
import type { ObjectCache, ObjectSource } from './object-cache.ts';

/** Trees asked for at once: few enough for their recipes to be gathered near to them. */
const treesPerBatch = 256;

export interface WalkOptions {
  source: ObjectSource;
  objects: ObjectCache;
  needed: NeededGatherer;
  signal?: AbortSignal;
  /** Told after each batch. */
  onProgress?(): void;
}

/**
 * Visits each tree and recipe below `root` that is not complete in the store once, in breadth, so that a level costs a
 * request or a few and not one for each directory. Afterwards all of them are in the store, and `needed` has the blocks
 * that are not.
 *
 * @throws CovaultError as `ObjectCache.obtain`; `E_CORRUPT` or `E_VERSION` for objects that cannot be read.
 */
export async function walkTrees(root: Digest, options: WalkOptions): Promise<void> {
  const walk = new TreeWalk(options);
  walk.meet('tree', root);
  while (walk.hasTrees) {
    checkInterrupted(options.signal);
    await walk.visitTrees();
    await walk.visitRecipes();
    options.onProgress?.();
  }
}

class TreeWalk {
  readonly #options: WalkOptions;
  readonly #met = { tree: new DigestTable(), recipe: new DigestTable() };
  #visitedTrees = 0;
  #visitedRecipes = 0;

  constructor(options: WalkOptions) {
    this.#options = options;
  }

  get hasTrees(): boolean {
    return this.#visitedTrees < this.#met.tree.count;
  }

  meet(kind: 'tree' | 'recipe', digest: Digest): void {
    if (!this.#options.objects.isComplete(kind, digest)) this.#met[kind].add(digest);
  }

  /** Visits the next trees that were met. */
  async visitTrees(): Promise<void> {
    const { objects, source, signal } = this.#options;
    const end = Math.min(this.#met.tree.count, this.#visitedTrees + treesPerBatch);
    const digests = digestsOf(this.#met.tree, this.#visitedTrees, end);
    for await (const { bytes } of objects.obtain('tree', digests, source, signal ? { signal } : {})) {
      for (const entry of decodeTree(bytes)) this.#meetEntry(entry);
    }
    this.#visitedTrees = end;
  }

  /** Visits all recipes that were met. */
  async visitRecipes(): Promise<void> {
    const { objects, source, needed, signal } = this.#options;
    const digests = digestsOf(this.#met.recipe, this.#visitedRecipes, this.#met.recipe.count);
    for await (const { digest, bytes } of objects.obtain('recipe', digests, source, signal ? { signal } : {})) {
      needed.addRecipe(digest, decodeRecipe(bytes).segments);
    }
    this.#visitedRecipes += digests.length;
  }

  #meetEntry(entry: TreeEntry): void {
    if (entry.kind === 'directory') this.meet('tree', entry.tree);
    else if (entry.kind !== 'file') return;
    else if ('recipe' in entry.content) this.meet('recipe', entry.content.recipe);
    else if ('segments' in entry.content) this.#options.needed.add(entry.content.segments);
  }
}

function digestsOf(table: DigestTable, start: number, end: number): Digest[] {
  return Array.from({ length: end - start }, (_, index) => table.at(start + index));
}
