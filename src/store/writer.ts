/**
 * Makes one snapshot: takes in blocks and objects, and seals them with a record as the very last write.
 *
 * Blocks count as held from the moment their pack is durable. Objects count as complete, and so need not be descended
 * into, only when a writer has found at sealing that all they refer to is there; until then they can be read, which
 * saves pulling them again after an interruption.
 */

import { compress, isWorthIt } from '../core/compression.ts';
import { type Digest, type Digester, digestHex, digestKey, digestsEqual } from '../core/digest.ts';
import { CovaultError } from '../core/errors.ts';
import type { ObjectKind, SnapshotSink } from '../core/ports.ts';
import type { Block } from '../core/recipe.ts';
import { encodeSnapshotRecord, type SnapshotRecord } from '../core/snapshot.ts';
import type { Backend } from './backend.ts';
import { ByteGate } from './byte-gate.ts';
import type { Catalog } from './catalog.ts';
import { findClosure } from './closure.ts';
import type { EntryReader } from './entry-reader.ts';
import { RowSet } from './entry-table.ts';
import { type IndexedPack, indexedPack, rowCount, writeIndexFile } from './index-file.ts';
import { indexFileGroups, mergeIndexFiles } from './index-merge.ts';
import type { StoreKeys } from './keys.ts';
import { snapshotName } from './layout.ts';
import { packsOfRows } from './object-rows.ts';
import { type EntryKind, type PackContents, packKindOf } from './pack-format.ts';
import { PackQueue } from './pack-queue.ts';
import { openEntry } from './pack-reader.ts';
import { sealFile } from './sealed-file.ts';

export interface SnapshotWriter extends SnapshotSink {
  /**
   * Makes everything durable, checks that all the record's root refers to is in the store, and writes the record: from
   * then on the snapshot is listed. Ends this writer.
   *
   * @returns the record as written: `storedBytes` is what this writer wrote in all, the record itself included.
   * @throws CovaultError `E_CORRUPT` if something is missing; `E_NO_SPACE`, `E_IO`. The store is then as before, but
   *   for blocks and objects that the next run finds.
   */
  seal(record: SnapshotRecord, options?: { signal?: AbortSignal }): Promise<SnapshotRecord>;
  /**
   * Ends this writer; to be called in every case, after `seal` it does nothing. What was added is kept for the next run,
   * as far as it can be written; when this resolves, nothing is being written any more. Never rejects.
   */
  abandon(): Promise<void>;
}

export interface WriterParts {
  backend: Backend;
  keys: StoreKeys;
  catalog: Catalog;
  reader: EntryReader;
  digester: Digester;
  /** Bytes from which a pack is full. */
  packBytes: number;
}

/** Bytes of blocks and objects that are being compressed at once. */
const inWorkBytesMax = 16 * 1024 * 1024;

/** Packs of blocks after which an index file is written without waiting for `flush`. */
const packsPerIndexFile = 64;

export class StoreWriter implements SnapshotWriter {
  readonly #parts: WriterParts;
  readonly #queues: Record<'blocks' | 'objects', PackQueue>;
  readonly #gate = new ByteGate(inWorkBytesMax);
  /** Additions under way or in memory, so that nothing is added twice. */
  readonly #adding = new Map<string, Promise<void>>();
  /** Objects that were added here, whether this writer wrote them or found them. */
  readonly #added: Record<ObjectKind, RowSet> = { tree: new RowSet(), recipe: new RowSet() };
  #unindexed: IndexedPack[] = [];
  #storedBytes = 0;
  #ended = false;

  constructor(parts: WriterParts) {
    this.#parts = parts;
    const { backend, keys, packBytes } = parts;
    this.#queues = {
      blocks: new PackQueue({ backend, keys, packBytes, kind: 'blocks', onWritten: (pack) => this.#onBlocks(pack) }),
      objects: new PackQueue({ backend, keys, packBytes, kind: 'objects', onWritten: (pack) => this.#onObjects(pack) }),
    };
  }

  hasBlock(digest: Digest): boolean {
    return this.#parts.catalog.rowOfHeld('block', digest) >= 0 || this.#isHeld('block', digest);
  }

  hasObject(kind: ObjectKind, digest: Digest): boolean {
    const { catalog } = this.#parts;
    const row = catalog.rowOfHeld(kind, digest);
    if (row < 0) return this.#isHeld(kind, digest);
    return this.#added[kind].has(row) || this.#isComplete(kind, row);
  }

  async readObject(kind: ObjectKind, digest: Digest): Promise<Uint8Array> {
    const held = this.#queues.objects.held(kind, digest);
    if (held) return openEntry(held.key, 'a pack not yet written', held.row, held.stored, this.#parts.digester);
    const bytes = await this.#parts.reader.read(kind, digest);
    if (!bytes) throw new CovaultError('E_NOT_FOUND', `the store has no ${kind} ${digestHex(digest)}`);
    return new Uint8Array(bytes);
  }

  async addBlock(block: Block, bytes: Uint8Array, packed?: Uint8Array): Promise<void> {
    if (bytes.byteLength !== block.length) {
      throw new CovaultError('E_CORRUPT', `block ${digestHex(block.digest)} has ${bytes.byteLength} bytes`);
    }
    await this.#add('block', block.digest, bytes, packed);
  }

  async addObject(kind: ObjectKind, digest: Digest, bytes: Uint8Array, packed?: Uint8Array): Promise<void> {
    await this.#add(kind, digest, bytes, packed);
  }

  async flush(): Promise<void> {
    await Promise.allSettled(this.#adding.values());
    await this.#queues.blocks.flush();
    await this.#indexBlocks();
    await this.#queues.objects.flush();
  }

  storedBytes(): number {
    return this.#storedBytes;
  }

  async seal(record: SnapshotRecord, options: { signal?: AbortSignal } = {}): Promise<SnapshotRecord> {
    const name = snapshotName(record.id);
    this.#checkOpen();
    await this.flush();
    await this.#completeObjects(record, options.signal);
    const { backend, keys, catalog } = this.#parts;
    await mergeIndexFiles(backend, keys, catalog.indexFiles, (merged, removed) => {
      this.#storedBytes += merged.bytes;
      for (const old of removed) catalog.indexFiles.delete(old);
      catalog.indexFiles.set(merged.name, merged.rows);
    });
    const { sealed, file } = sealRecord(record, name, keys, this.#storedBytes);
    await backend.write(name, [file]);
    this.#storedBytes += file.byteLength;
    this.#ended = true;
    return sealed;
  }

  async abandon(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    // Whatever cannot be written now is pulled again by the next run: nothing else depends on it.
    await this.flush()
      .catch(() => this.#queues.objects.flush())
      .catch(() => undefined);
  }

  #add(kind: EntryKind, digest: Digest, bytes: Uint8Array, packed?: Uint8Array): Promise<void> {
    this.#checkOpen();
    const row = this.#parts.catalog.rowOfHeld(kind, digest);
    if (row >= 0) {
      if (kind !== 'block') this.#added[kind].add(row);
      return Promise.resolve();
    }
    if (this.#isHeld(kind, digest)) return Promise.resolve();
    const key = kind + digestKey(digest);
    const known = this.#adding.get(key);
    if (known) return known;
    const adding = this.#take(kind, digest, bytes, packed).finally(() => this.#adding.delete(key));
    this.#adding.set(key, adding);
    return adding;
  }

  async #take(kind: EntryKind, digest: Digest, bytes: Uint8Array, cameAs?: Uint8Array): Promise<void> {
    const rawBytes = bytes.byteLength;
    const queue = this.#queues[packKindOf(kind)];
    await this.#gate.enter(rawBytes);
    try {
      queue.check();
      if (!digestsEqual(this.#parts.digester.digest(bytes), digest)) {
        throw new CovaultError('E_CORRUPT', `${kind} ${digestHex(digest)} does not have that digest in this domain`);
      }
      const packed = cameAs && isWorthIt(cameAs, bytes) ? cameAs : await compress(bytes);
      queue.add({ digest, kind, rawBytes, compressed: packed !== undefined, body: packed ?? bytes });
      // Objects are looked at again before the seal. The caller may reuse its buffer.
      if (kind !== 'block') this.#parts.reader.keep(kind, digest, new Uint8Array(bytes));
      await queue.room();
    } finally {
      this.#gate.leave(rawBytes);
    }
  }

  async #onBlocks(contents: PackContents): Promise<void> {
    this.#storedBytes += contents.bytes;
    this.#parts.catalog.addWritten(contents);
    this.#unindexed.push(indexedPack(contents));
    if (this.#unindexed.length >= packsPerIndexFile) await this.#indexBlocks();
  }

  #onObjects(contents: PackContents): void {
    const { catalog } = this.#parts;
    this.#storedBytes += contents.bytes;
    catalog.addWritten(contents);
    for (const { kind, digest } of contents.rows) {
      if (kind !== 'block') this.#added[kind].add(catalog.tables[kind].find(digest));
    }
  }

  async #indexBlocks(): Promise<void> {
    const packs = [...this.#unindexed, ...this.#parts.catalog.takeUnindexed()];
    this.#unindexed = [];
    await this.#writeIndexFiles(packs);
  }

  async #writeIndexFiles(packs: readonly IndexedPack[]): Promise<void> {
    const { backend, keys, catalog } = this.#parts;
    for (const group of indexFileGroups(packs)) {
      const { name, bytes } = await writeIndexFile(backend, keys, group);
      this.#storedBytes += bytes;
      catalog.indexFiles.set(
        name,
        group.reduce((sum, pack) => sum + rowCount(pack), 0),
      );
    }
  }

  /** Finds that everything below the root is there, and lists its new objects as complete. */
  async #completeObjects(record: SnapshotRecord, signal: AbortSignal | undefined): Promise<void> {
    const { catalog, reader } = this.#parts;
    const isComplete = (kind: ObjectKind, row: number) => this.#isComplete(kind, row);
    const options = { isComplete, ...(signal && { signal }) };
    const { visited, missing } = await findClosure(catalog, reader, record.root.tree, options);
    if (missing.length > 0) {
      throw new CovaultError('E_CORRUPT', `snapshot ${record.id} cannot be sealed: ${missing.join('; ')}`, {
        hint: 'take the snapshot again; what is in the store already is not pulled again',
      });
    }
    const packs = packsOfRows(catalog, visited);
    await this.#writeIndexFiles(packs);
    for (const kind of ['tree', 'recipe'] as const) {
      for (const row of visited[kind].rows()) catalog.tables[kind].setComplete(row);
    }
  }

  #isComplete(kind: ObjectKind, row: number): boolean {
    const { catalog } = this.#parts;
    return !catalog.doubtful && catalog.tables[kind].isComplete(row);
  }

  #isHeld(kind: EntryKind, digest: Digest): boolean {
    return this.#queues[packKindOf(kind)].held(kind, digest) !== undefined;
  }

  #checkOpen(): void {
    if (this.#ended) throw new CovaultError('E_BAD_INPUT', 'this writer has ended');
  }
}

/** The record with the bytes stored in all, its own file included, and that file. */
function sealRecord(record: SnapshotRecord, name: string, keys: StoreKeys, before: number) {
  let fileBytes = 0;
  // The number of bytes is itself a part of the file; its encoding has few lengths, so this ends at once.
  for (;;) {
    const sealed = { ...record, storedBytes: before + fileBytes };
    const file = sealFile('snapshot', name, keys, encodeSnapshotRecord(sealed));
    if (file.byteLength <= fileBytes) return { sealed, file };
    fileBytes = file.byteLength;
  }
}
