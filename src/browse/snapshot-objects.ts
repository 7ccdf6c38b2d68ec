/**
 * Trees and recipes of a store, decoded, in caches bounded by bytes. Everything read through here is named by digest
 * and never changes, so nothing is ever stale.
 */
import { type Digest, digestHex, digestKey } from '../core/digest.ts';
import { CovaultError } from '../core/errors.ts';
import type { SnapshotReader } from '../core/ports.ts';
import { decodeRecipe } from '../core/recipe.ts';
import { decodeTree, type FileEntry, inlineRecipe, type TreeEntry } from '../core/tree.ts';
import { BoundedCache } from './bounded-cache.ts';
import { type LocatedRecipe, locateSegments } from './recipe-ranges.ts';

/** Entries of a directory in ascending byte order of their names. */
export type Tree = readonly TreeEntry[];

/** Memory of a decoded entry and of a decoded segment besides their encoded bytes; about, measured with V8. */
const entryOverheadBytes = 400;
const segmentOverheadBytes = 120;

export interface ObjectCacheLimits {
  /** Bytes of decoded trees kept; default 128 MiB. */
  treeBytesMax?: number;
  /** Bytes of decoded recipes kept; default 32 MiB. */
  recipeBytesMax?: number;
}

export class SnapshotObjects {
  readonly #reader: SnapshotReader;
  readonly #trees: BoundedCache<Tree>;
  readonly #recipes: BoundedCache<LocatedRecipe>;

  constructor(reader: SnapshotReader, limits: ObjectCacheLimits = {}) {
    this.#reader = reader;
    this.#trees = new BoundedCache({ bytesMax: limits.treeBytesMax ?? 128 * 1024 * 1024 });
    this.#recipes = new BoundedCache({ bytesMax: limits.recipeBytesMax ?? 32 * 1024 * 1024 });
  }

  /** @throws CovaultError `E_CORRUPT`, `E_VERSION` or `E_NOT_FOUND`. */
  tree(digest: Digest): Promise<Tree> {
    return this.#trees.get(digestKey(digest), async () => {
      const bytes = await this.#reader.readObject('tree', digest);
      const entries = decodeTree(bytes);
      return { value: entries, bytes: bytes.byteLength + entries.length * entryOverheadBytes };
    });
  }

  /**
   * The recipe of a file's content.
   *
   * @throws CovaultError `E_INCOMPLETE` if the snapshot was made without this file's content; `E_CORRUPT`,
   * `E_VERSION` or `E_NOT_FOUND` if the recipe cannot be read.
   */
  async recipe(file: FileEntry): Promise<LocatedRecipe> {
    const inline = inlineRecipe(file);
    if (inline !== undefined) return locateSegments(inline);
    if (!('recipe' in file.content)) {
      throw new CovaultError('E_INCOMPLETE', 'the snapshot was made without the content of this file');
    }
    const { recipe: digest } = file.content;
    const recipe = await this.#recipes.get(digestKey(digest), () => this.#readRecipe(digest));
    if (recipe.size !== file.size) {
      throw new CovaultError(
        'E_CORRUPT',
        `recipe ${digestHex(digest)} has ${recipe.size} bytes, its file ${file.size}`,
      );
    }
    return recipe;
  }

  async #readRecipe(digest: Digest) {
    const bytes = await this.#reader.readObject('recipe', digest);
    const recipe = decodeRecipe(bytes);
    return { value: locateSegments(recipe), bytes: bytes.byteLength + recipe.segments.length * segmentOverheadBytes };
  }
}

/** The entry called `name`, by binary search. */
export function findEntry(tree: Tree, name: Uint8Array): TreeEntry | undefined {
  const position = findPosition(tree, name);
  return position === undefined ? undefined : tree[position];
}

/** The position of the entry called `name`. */
export function findPosition(tree: Tree, name: Uint8Array): number | undefined {
  let low = 0;
  let high = tree.length - 1;
  while (low <= high) {
    const middle = (low + high) >>> 1;
    const order = Buffer.compare((tree[middle] as TreeEntry).name, name);
    if (order === 0) return middle;
    if (order < 0) low = middle + 1;
    else high = middle - 1;
  }
  return undefined;
}
