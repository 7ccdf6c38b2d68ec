/** A store in memory for tests: a snapshot reader that counts what is read and can be damaged. */
import {
  createDigester,
  type Digest,
  type DigestKey,
  digestFromKey,
  digestHex,
  digestKey,
} from '../../src/core/digest.ts';
import { CovaultError } from '../../src/core/errors.ts';
import { limits } from '../../src/core/limits.ts';
import type { ObjectKind, SnapshotReader, SnapshotSink } from '../../src/core/ports.ts';
import { encodeRecipe, type Segment } from '../../src/core/recipe.ts';
import { decodeSnapshotRecord, encodeSnapshotRecord, type SnapshotRecord } from '../../src/core/snapshot.ts';
import { type Content, type DirectoryEntry, encodeTree, type TreeEntry } from '../../src/core/tree.ts';
import type { ModelDirectory, ModelFile, ModelNode } from './tree-model.ts';

/** The key of all digests in tests of browsing. */
export const testDigestKey = new Uint8Array(32).fill(7);

const digester = createDigester(testDigestKey);

export class MemoryStore implements SnapshotReader {
  readonly blocks = new Map<DigestKey, Uint8Array>();
  readonly objects = new Map<DigestKey, Uint8Array>();
  readonly kinds = new Map<DigestKey, ObjectKind>();
  /** Every digest whose block was asked for, in order. */
  readonly blockReads: DigestKey[] = [];
  objectReads = 0;
  /** Called before each block is given out; may throw or wait. */
  beforeBlock: (digest: Digest) => Promise<void> | void = () => undefined;
  readonly #records: Uint8Array[] = [];

  async readBlock(digest: Digest): Promise<Uint8Array | undefined> {
    this.blockReads.push(digestKey(digest));
    await this.beforeBlock(digest);
    const bytes = this.blocks.get(digestKey(digest));
    if (bytes !== undefined && !digester.digest(bytes).every((byte, at) => byte === digest[at])) {
      throw new CovaultError('E_CORRUPT', `block ${digestHex(digest)} is damaged`);
    }
    return bytes && new Uint8Array(bytes);
  }

  async readObject(kind: ObjectKind, digest: Digest): Promise<Uint8Array> {
    this.objectReads += 1;
    const bytes = this.objects.get(digestKey(digest));
    if (bytes === undefined) throw new CovaultError('E_NOT_FOUND', `no ${kind} ${digestHex(digest)}`);
    return new Uint8Array(bytes);
  }

  async listSnapshots(): Promise<SnapshotRecord[]> {
    return this.#records
      .map(decodeSnapshotRecord)
      .sort((a, b) => (a.timeNs < b.timeNs ? -1 : a.timeNs > b.timeNs ? 1 : 0));
  }

  /** Puts all blocks and objects and the first snapshot into another store. */
  async copyInto(sink: SnapshotSink & { seal(record: SnapshotRecord): Promise<unknown> }): Promise<void> {
    for (const [key, bytes] of this.blocks) {
      await sink.addBlock({ digest: digestFromKey(key), length: bytes.byteLength }, bytes);
    }
    for (const [key, bytes] of this.objects) {
      await sink.addObject(this.kinds.get(key) ?? 'tree', digestFromKey(key), bytes);
    }
    const [record] = await this.listSnapshots();
    if (record !== undefined) await sink.seal(record);
  }

  /** Seals a snapshot of `root`. */
  add(client: string, timeNs: bigint, root: ModelDirectory, id = idOf(this.#records.length)): SnapshotRecord {
    const names = countNames(root);
    const entry = this.#directoryEntry(new Uint8Array(0), root, names);
    return this.addRecord(client, timeNs, entry, id);
  }

  addRecord(client: string, timeNs: bigint, root: DirectoryEntry, id = idOf(this.#records.length)): SnapshotRecord {
    const record: SnapshotRecord = {
      id,
      client,
      timeNs,
      root,
      files: 0,
      bytes: 0,
      newBytes: 0,
      bytesFromSource: 0,
      bytesOnlyAtSource: 0,
      peers: [],
      storedBytes: 0,
      seconds: 0.5,
      exceptions: [],
    };
    this.#records.push(encodeSnapshotRecord(record));
    return record;
  }

  forget(id: string): void {
    const position = this.#records.findIndex((bytes) => decodeSnapshotRecord(bytes).id === id);
    this.#records.splice(position, 1);
  }

  addBlock(bytes: Uint8Array): Digest {
    const digest = digester.digest(bytes);
    this.blocks.set(digestKey(digest), bytes);
    return digest;
  }

  addObject(bytes: Uint8Array, kind: ObjectKind = 'tree'): Digest {
    const digest = digester.digest(bytes);
    this.kinds.set(digestKey(digest), kind);
    this.objects.set(digestKey(digest), bytes);
    return digest;
  }

  #directoryEntry(name: Uint8Array, directory: ModelDirectory, names: Map<ModelNode, bigint>): DirectoryEntry {
    const entries = [...directory.children].map(([childName, child]) =>
      this.#entry(Buffer.from(childName, 'latin1'), child, names),
    );
    const { mode, uid, gid, mtimeNs, xattrs } = directory;
    return { kind: 'directory', name, mode, uid, gid, mtimeNs, xattrs, tree: this.addObject(encodeTree(entries)) };
  }

  #entry(name: Uint8Array, node: ModelNode, names: Map<ModelNode, bigint>): TreeEntry {
    if (node.kind === 'directory') return this.#directoryEntry(name, node, names);
    const { mode, uid, gid, mtimeNs, xattrs } = node;
    const link = names.get(node);
    const attributes = { name, mode, uid, gid, mtimeNs, xattrs, ...(link === undefined ? {} : { link }) };
    switch (node.kind) {
      case 'file':
        return { ...attributes, kind: 'file', size: sizeOf(node), content: this.#content(node) };
      case 'symlink':
        return { ...attributes, kind: 'symlink', target: node.target };
      case 'char':
      case 'block':
        return { ...attributes, kind: node.kind, rdev: node.rdev };
      default:
        return { ...attributes, kind: node.kind };
    }
  }

  #content(file: ModelFile): Content {
    const segments: Segment[] = file.parts.map((part) =>
      typeof part === 'number' ? { length: part } : { digest: this.addBlock(part), length: part.byteLength },
    );
    if (segments.length <= limits.inlineSegmentsMax) return { segments };
    return { recipe: this.addObject(encodeRecipe({ size: sizeOf(file), segments }), 'recipe') };
  }
}

function sizeOf(file: ModelFile): number {
  return file.parts.reduce<number>((sum, part) => sum + (typeof part === 'number' ? part : part.byteLength), 0);
}

function idOf(number: number): string {
  return (number + 1).toString(16).padStart(4, '0').padEnd(32, 'a');
}

/** Nodes with more names than one, each with a number of its own. */
function countNames(root: ModelDirectory): Map<ModelNode, bigint> {
  const seen = new Set<ModelNode>();
  const linked = new Map<ModelNode, bigint>();
  const visit = (directory: ModelDirectory) => {
    for (const child of directory.children.values()) {
      if (child.kind === 'directory') visit(child);
      else if (seen.has(child)) linked.set(child, linked.get(child) ?? BigInt(linked.size + 1000));
      else seen.add(child);
    }
  };
  visit(root);
  return linked;
}
