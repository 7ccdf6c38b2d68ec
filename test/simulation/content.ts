/** What simulated files contain: blocks known by small numbers, their bytes and digests made from those. */
import { poolBytesMin } from '../../src/core/compression.ts';
import { createDigester, type Digest, type Digester, type DigestKey, digestKey } from '../../src/core/digest.ts';
import { invariant } from '../../src/core/errors.ts';
import { limits } from '../../src/core/limits.ts';
import { encodeRecipe, type Recipe } from '../../src/core/recipe.ts';
import { type DirectoryEntry, encodeTree, type TreeEntry } from '../../src/core/tree.ts';
import { SeededRandom } from './random.ts';

/** Nothing here may be compressed in threads, which have a time of their own. */
const threadedBytesMin = poolBytesMin;

const digester = createDigester(new Uint8Array(32).fill(11));
/** Shorter data is looked at as a whole: trees, recipes. */
const endsOnlyFrom = threadedBytesMin;
/** What blocks are filled with: bytes that cannot be compressed. */
const filling = fillingOf(512 * 1024);

/** Of long data it looks at both ends and the length alone, which is where blocks here differ and are spoiled: cheap. */
export const simDigester: Digester = {
  digest(data) {
    if (data.byteLength < endsOnlyFrom) return digester.digest(data);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(data.byteLength);
    return digester.digest(Buffer.concat([data.subarray(0, 16), data.subarray(-16), length]));
  },
};

/** Paths with "/" between names, and the blocks of each file; 0 is a hole. */
export type SimFiles = Map<string, readonly number[]>;

export interface PackedFiles {
  root: DirectoryEntry;
  trees: Map<DigestKey, Uint8Array>;
  recipes: Map<DigestKey, Uint8Array>;
  /** Of each recipe object, the blocks. */
  recipeBlocks: Map<DigestKey, DigestKey[]>;
  blocks: Map<DigestKey, number>;
}

const holeBytes = 8192;

export class Contents {
  readonly #scaleBytes: number;
  readonly #blocks = new Map<number, { bytes: Uint8Array; digest: Digest; key: DigestKey }>();

  /** @param scaleBytes no block is longer. */
  constructor(scaleBytes: number) {
    this.#scaleBytes = scaleBytes;
  }

  /** Whether blocks may be compressed on their way. */
  get mayBePacked(): boolean {
    return this.#scaleBytes < threadedBytesMin;
  }

  /** Not to be changed. */
  block(number: number): { bytes: Uint8Array; digest: Digest; key: DigestKey } {
    const known = this.#blocks.get(number);
    if (known) return known;
    const length = 8 + ((Math.imul(number, 0x9e3779b1) >>> 0) % (this.#scaleBytes - 8));
    const bytes = Buffer.from(filling.subarray(0, length));
    bytes.writeUInt32LE(number, length - 4);
    const digest = simDigester.digest(bytes);
    const block = { bytes, digest, key: digestKey(digest) };
    this.#blocks.set(number, block);
    return block;
  }

  pack(files: SimFiles): PackedFiles {
    const root = directory('', new Uint8Array(32));
    const packed: PackedFiles = {
      root,
      trees: new Map(),
      recipes: new Map(),
      recipeBlocks: new Map(),
      blocks: new Map(),
    };
    root.tree = this.#packTree(files, '', packed);
    return packed;
  }

  #packTree(files: SimFiles, prefix: string, packed: PackedFiles): Digest {
    const entries: TreeEntry[] = [];
    const directories = new Set<string>();
    for (const [path, blocks] of files) {
      if (!path.startsWith(prefix)) continue;
      const [name = '', ...below] = path.slice(prefix.length).split('/');
      if (below.length > 0) directories.add(name);
      else entries.push(this.#packFile(name, blocks, packed));
    }
    for (const name of directories) entries.push(directory(name, this.#packTree(files, `${prefix}${name}/`, packed)));
    const bytes = encodeTree(entries);
    invariant(bytes.byteLength < threadedBytesMin, 'trees of simulated files are small');
    const digest = simDigester.digest(bytes);
    packed.trees.set(digestKey(digest), bytes);
    return digest;
  }

  #packFile(name: string, blocks: readonly number[], packed: PackedFiles): TreeEntry {
    const recipe: Recipe = { size: 0, segments: [] };
    const keys: DigestKey[] = [];
    for (const number of blocks) {
      if (number === 0) {
        recipe.segments.push({ length: holeBytes });
        recipe.size += holeBytes;
        continue;
      }
      const { bytes, digest, key } = this.block(number);
      packed.blocks.set(key, number);
      keys.push(key);
      recipe.segments.push({ digest, length: bytes.byteLength });
      recipe.size += bytes.byteLength;
    }
    const file = { ...attributes(name), kind: 'file' as const, size: recipe.size };
    if (recipe.segments.length <= limits.inlineSegmentsMax) return { ...file, content: { segments: recipe.segments } };
    const bytes = encodeRecipe(recipe);
    const digest = simDigester.digest(bytes);
    packed.recipes.set(digestKey(digest), bytes);
    packed.recipeBlocks.set(digestKey(digest), keys);
    return { ...file, content: { recipe: digest } };
  }
}

function directory(name: string, tree: Digest): DirectoryEntry {
  return { ...attributes(name), kind: 'directory', tree };
}

function attributes(name: string) {
  return { name: Buffer.from(name), mode: 0o644, uid: 1000, gid: 1000, mtimeNs: 1n, xattrs: [] };
}

function fillingOf(length: number): Buffer {
  const random = new SeededRandom(0);
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at += 4) bytes.writeUInt32LE(random.next(), at);
  return bytes;
}
