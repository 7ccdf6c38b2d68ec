/**
 * The last look at all trees of a snapshot, from the leaves to the root: counts files and bytes, and makes sure that
 * every block of every new file is in the store. A file of which that is not true gets the content "missing", in trees
 * made anew up to the root: a snapshot may have gaps that it names, never wrong content.
 */
import type { Digest } from '../core/digest.ts';
import { CovaultError, checkInterrupted } from '../core/errors.ts';
import type { SnapshotSink } from '../core/ports.ts';
import { decodeRecipe, isBlock, type Segment } from '../core/recipe.ts';
import type { SnapshotException } from '../core/snapshot.ts';
import { type DirectoryEntry, decodeTree, encodeTree, type FileEntry, type TreeEntry } from '../core/tree.ts';
import { DigestTable } from './digest-table.ts';
import type { ObjectCache } from './object-cache.ts';

export interface SettledTrees {
  /** The root given, or one with a tree made anew. */
  root: DirectoryEntry;
  /** Regular files, by name. */
  files: number;
  /** Bytes of their contents, those without content left out. */
  bytes: number;
  /** Paths of files without content, at most `missingMax`, and one sentence more if there are others. */
  missing: SnapshotException[];
}

export interface SettleOptions {
  objects: ObjectCache;
  sink: Pick<SnapshotSink, 'hasBlock'>;
  signal?: AbortSignal;
}

/** Files without content that are named. */
const missingMax = 10_000;
const missingReason = 'its content was not there when it was to be read';
const changedReason = 'it changed while it was read, again and again';

/** @throws CovaultError `E_CORRUPT`, or what the store throws. */
export async function settleTrees(root: DirectoryEntry, options: SettleOptions): Promise<SettledTrees> {
  const pass = new SettlePass(options);
  const tree = await pass.settle(root.tree);
  const { files, bytes } = pass.totals(root.tree);
  return { root: { ...root, tree }, files, bytes, missing: await pass.missing(root.tree) };
}

/** A directory on the way from the root to where the pass is. */
interface Level {
  digest: Digest;
  entries: TreeEntry[];
  next: number;
}

class SettlePass {
  readonly #options: SettleOptions;
  /** Trees done, numbered; the lists below are by number. */
  readonly #done = new DigestTable();
  readonly #files: number[] = [];
  readonly #bytes: number[] = [];
  /** What trees became that had to be made anew. */
  readonly #replaced = new Map<number, Digest>();
  /** Trees with a gap in them or below them. */
  readonly #gaps = new Set<number>();
  readonly #recipes = new DigestTable();
  readonly #recipeIsWhole: boolean[] = [];

  constructor(options: SettleOptions) {
    this.#options = options;
  }

  totals(tree: Digest): { files: number; bytes: number } {
    const number = this.#done.find(tree);
    return { files: this.#files[number] as number, bytes: this.#bytes[number] as number };
  }

  /** Settles a tree and all below it, without recursion; returns its digest, a new one if it was made anew. */
  async settle(root: Digest): Promise<Digest> {
    const path: Level[] = [await this.#enter(root)];
    for (let level = path.at(-1); level !== undefined; level = path.at(-1)) {
      const child = this.#nextOpen(level);
      if (child !== undefined) {
        path.push(await this.#enter(child));
        continue;
      }
      await this.#leave(level);
      path.pop();
    }
    return this.#becomes(root);
  }

  /** Paths of the files without content, in the order of the trees. */
  async missing(root: Digest): Promise<SnapshotException[]> {
    const missing: SnapshotException[] = [];
    const paths: { digest: Digest; path: Uint8Array[] }[] = [{ digest: root, path: [] }];
    for (let at = paths.pop(); at !== undefined; at = paths.pop()) {
      if (!this.#gaps.has(this.#done.find(at.digest))) continue;
      checkInterrupted(this.#options.signal);
      const below: typeof paths = [];
      for (const entry of decodeTree(await this.#options.objects.read('tree', at.digest))) {
        const path = [...at.path, entry.name];
        if (entry.kind === 'directory') below.push({ digest: entry.tree, path });
        else if (entry.kind === 'file' && !(await this.#isWhole(entry, at.digest))) {
          if (missing.length === missingMax) {
            return [...missing, { path: joined(path), reason: 'as many others; no more are listed' }];
          }
          missing.push({ path: joined(path), reason: 'missing' in entry.content ? missingReason : changedReason });
        }
      }
      paths.push(...below.reverse());
    }
    return missing;
  }

  async #enter(digest: Digest): Promise<Level> {
    checkInterrupted(this.#options.signal);
    return { digest, entries: decodeTree(await this.#options.objects.read('tree', digest)), next: 0 };
  }

  /** The next directory in `level` that is not done. */
  #nextOpen(level: Level): Digest | undefined {
    while (level.next < level.entries.length) {
      const entry = level.entries[level.next++] as TreeEntry;
      if (entry.kind === 'directory' && this.#done.find(entry.tree) < 0) return entry.tree;
    }
    return undefined;
  }

  /** All below a tree is done: counts it, and makes it anew if something in it has changed. */
  async #leave({ digest, entries }: Level): Promise<void> {
    let files = 0;
    let bytes = 0;
    let hasGap = false;
    let isChanged = false;
    const settled: TreeEntry[] = [];
    for (const entry of entries) {
      const became = entry.kind === 'file' ? await this.#settleFile(entry, digest) : this.#settleOther(entry);
      isChanged ||= became !== entry;
      settled.push(became);
      if (became.kind === 'file') {
        files += 1;
        if ('missing' in became.content) hasGap = true;
        else bytes += became.size;
      } else if (entry.kind === 'directory') {
        const below = this.totals(entry.tree);
        files += below.files;
        bytes += below.bytes;
        hasGap ||= this.#gaps.has(this.#done.find(entry.tree));
      }
    }
    if (!Number.isSafeInteger(files) || !Number.isSafeInteger(bytes)) {
      throw new CovaultError('E_TOO_LARGE', 'the trees name more files or bytes than can be counted');
    }
    const number = this.#done.add(digest);
    this.#files[number] = files;
    this.#bytes[number] = bytes;
    if (hasGap) this.#gaps.add(number);
    if (isChanged) this.#replaced.set(number, await this.#options.objects.add('tree', encodeTree(settled)));
  }

  async #settleFile(entry: FileEntry, tree: Digest): Promise<FileEntry> {
    if ('missing' in entry.content || (await this.#isWhole(entry, tree))) return entry;
    return { ...entry, content: { missing: true } };
  }

  #settleOther(entry: TreeEntry): TreeEntry {
    if (entry.kind !== 'directory') return entry;
    const tree = this.#becomes(entry.tree);
    return tree === entry.tree ? entry : { ...entry, tree };
  }

  #becomes(tree: Digest): Digest {
    return this.#replaced.get(this.#done.find(tree)) ?? tree;
  }

  /** The file's content is in the store; everything below a complete tree is. */
  async #isWhole({ content }: FileEntry, tree: Digest): Promise<boolean> {
    if ('missing' in content) return false;
    if (this.#options.objects.isComplete('tree', tree)) return true;
    return 'segments' in content ? this.#hasBlocks(content.segments) : this.#recipeWhole(content.recipe);
  }

  async #recipeWhole(recipe: Digest): Promise<boolean> {
    const { objects } = this.#options;
    if (objects.isComplete('recipe', recipe)) return true;
    const known = this.#recipes.find(recipe);
    if (known >= 0) return this.#recipeIsWhole[known] as boolean;
    const whole = this.#hasBlocks(decodeRecipe(await objects.read('recipe', recipe)).segments);
    this.#recipeIsWhole[this.#recipes.add(recipe)] = whole;
    return whole;
  }

  #hasBlocks(segments: readonly Segment[]): boolean {
    return segments.every((segment) => !isBlock(segment) || this.#options.sink.hasBlock(segment.digest));
  }
}

function joined(path: readonly Uint8Array[]): Uint8Array {
  const slash = Buffer.from('/');
  return Buffer.concat(path.flatMap((name, index) => (index === 0 ? [name] : [slash, name])));
}
