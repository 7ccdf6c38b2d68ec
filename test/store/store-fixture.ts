/** Small directories of generated files, put into stores and read back. For tests. */
import assert from 'node:assert/strict';
import { createDigester, type Digest, digestHex } from '../../src/core/digest.ts';
import { type Domain, defaultCutParameters } from '../../src/core/domain.ts';
import type { SnapshotReader } from '../../src/core/ports.ts';
import { decodeRecipe, encodeRecipe, isBlock, type Recipe } from '../../src/core/recipe.ts';
import type { SnapshotRecord } from '../../src/core/snapshot.ts';
import { type Content, type DirectoryEntry, decodeTree, encodeTree, type TreeEntry } from '../../src/core/tree.ts';
import type { Backend } from '../../src/store/backend.ts';
import type { KdfParameters } from '../../src/store/key-slot.ts';
import { createStore, type OpenOptions, openStore, type Store } from '../../src/store/store.ts';
import type { SnapshotWriter } from '../../src/store/writer.ts';

/** Cheap, for tests only. */
export const testKdf: KdfParameters = { memoryKiB: 64, passes: 1, parallelism: 1 };

export const testDomain: Domain = {
  id: '0123456789abcdef0123456789abcdef',
  digestKey: Uint8Array.from({ length: 32 }, (_, position) => position),
  cut: defaultCutParameters,
};

export const testPassword = 'correct horse';

export const testDigester = createDigester(testDomain.digestKey);

export function makeTestStore(backend: Backend, options: Partial<OpenOptions> = {}): Promise<Store> {
  return createStore({ backend, password: testPassword, domain: testDomain, kdf: testKdf, ...options });
}

export function openTestStore(backend: Backend, options: Partial<OpenOptions> = {}): Promise<Store> {
  return openStore({ backend, password: testPassword, ...options });
}

/** Bytes that depend on `seed` alone; `entropy` from 1 (all equal) to 256 (random). */
export function testBytes(seed: number, length: number, entropy = 256): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = (seed * 2654435761 + 1) >>> 0;
  for (let at = 0; at < length; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[at] = (state >>> 11) % entropy;
  }
  return bytes;
}

/** A directory: what is in it by name, a file being the list of its blocks. */
export interface Directory {
  [name: string]: Directory | Uint8Array[];
}

export interface Packed {
  root: DirectoryEntry;
  blocks: Map<string, { digest: Digest; bytes: Uint8Array }>;
  objects: Map<string, { kind: 'tree' | 'recipe'; digest: Digest; bytes: Uint8Array }>;
}

/** The blocks and objects of a directory, parents before children: the order in which a snapshot meets them. */
export function packDirectory(directory: Directory): Packed {
  const packed: Packed = { root: entryOf('', 'directory') as DirectoryEntry, blocks: new Map(), objects: new Map() };
  const { digest, objects } = packTree(directory, packed);
  packed.root.tree = digest;
  for (const object of objects) packed.objects.set(digestHex(object.digest), object);
  return packed;
}

type PackedObject = { kind: 'tree' | 'recipe'; digest: Digest; bytes: Uint8Array };

function packTree(directory: Directory, packed: Packed): { digest: Digest; objects: PackedObject[] } {
  const below: PackedObject[] = [];
  const entries = Object.entries(directory).map(([name, item]): TreeEntry => {
    if (!Array.isArray(item)) {
      const { digest, objects } = packTree(item, packed);
      below.push(...objects);
      return { ...attributesOf(name), kind: 'directory', tree: digest };
    }
    const { content, size, object } = packFile(item, packed);
    if (object) below.push(object);
    return { ...attributesOf(name), kind: 'file', size, content };
  });
  const bytes = new Uint8Array(encodeTree(entries));
  const digest = testDigester.digest(bytes);
  return { digest, objects: [{ kind: 'tree', digest, bytes }, ...below] };
}

function packFile(blocks: readonly Uint8Array[], packed: Packed) {
  const recipe: Recipe = { size: 0, segments: [] };
  for (const bytes of blocks) {
    const digest = testDigester.digest(bytes);
    packed.blocks.set(digestHex(digest), { digest, bytes });
    recipe.segments.push({ digest, length: bytes.byteLength });
    recipe.size += bytes.byteLength;
  }
  if (blocks.length <= 4) {
    const content: Content = { segments: recipe.segments };
    return { content, size: recipe.size, object: undefined };
  }
  const bytes = new Uint8Array(encodeRecipe(recipe));
  const object: PackedObject = { kind: 'recipe', digest: testDigester.digest(bytes), bytes };
  return { content: { recipe: object.digest } as Content, size: recipe.size, object };
}

function attributesOf(name: string) {
  return { name: Buffer.from(name), mode: 0o644, uid: 0, gid: 0, mtimeNs: 0n, xattrs: [] };
}

function entryOf(name: string, kind: 'directory'): TreeEntry {
  return { ...attributesOf(name), kind, tree: new Uint8Array(32) };
}

/** A record with the given root; `number` makes id and time. */
export function testRecord(root: DirectoryEntry, number: number): SnapshotRecord {
  return {
    id: number.toString(16).padStart(32, '0'),
    client: 'laptop',
    timeNs: BigInt(number) * 1_000_000_000n,
    root,
    files: 0,
    bytes: 0,
    newBytes: 0,
    bytesFromSource: 0,
    bytesOnlyAtSource: 0,
    peers: [],
    storedBytes: 0,
    seconds: 0,
    exceptions: [],
  };
}

/** Adds what the sink lacks, as taking a snapshot does: objects from the root down, then blocks. */
export async function addDirectory(writer: SnapshotWriter, packed: Packed): Promise<number> {
  let added = 0;
  for (const { kind, digest, bytes } of packed.objects.values()) {
    if (!writer.hasObject(kind, digest)) await writer.addObject(kind, digest, bytes);
  }
  for (const { digest, bytes } of packed.blocks.values()) {
    if (writer.hasBlock(digest)) continue;
    await writer.addBlock({ digest, length: bytes.byteLength }, bytes);
    added++;
  }
  return added;
}

/** Takes a whole snapshot. */
export async function takeTestSnapshot(store: Store, directory: Directory, number: number): Promise<SnapshotRecord> {
  const packed = packDirectory(directory);
  const writer = await store.openWriter();
  try {
    await addDirectory(writer, packed);
    return await writer.seal(testRecord(packed.root, number));
  } finally {
    await writer.abandon();
  }
}

/** Reads a snapshot back; every block and object must be there. */
export async function readDirectory(reader: SnapshotReader, tree: Digest): Promise<Directory> {
  const directory: Directory = {};
  for (const entry of decodeTree(await reader.readObject('tree', tree))) {
    const name = Buffer.from(entry.name).toString();
    if (entry.kind === 'directory') directory[name] = await readDirectory(reader, entry.tree);
    if (entry.kind !== 'file' || 'missing' in entry.content) continue;
    const { content } = entry;
    const segments =
      'segments' in content
        ? content.segments
        : decodeRecipe(await reader.readObject('recipe', content.recipe)).segments;
    const blocks: Uint8Array[] = [];
    for (const segment of segments.filter(isBlock)) {
      const bytes = await reader.readBlock(segment.digest);
      assert.ok(bytes, `block of ${name} is there`);
      blocks.push(new Uint8Array(bytes));
    }
    directory[name] = blocks;
  }
  return directory;
}
