/**
 * Interfaces between stages: a stage names what it needs here, another one offers it, `commands/` joins the two.
 */
import type { Digest } from './digest.ts';
import type { Block } from './recipe.ts';
import type { SnapshotException, SnapshotRecord } from './snapshot.ts';
import type { DirectoryEntry } from './tree.ts';

/** Where blocks can be read: the index over the data directory, a store. */
export interface BlockSource {
  /**
   * The bytes of a block, verified against its digest, or undefined if it is not (or no longer) held. The caller
   * owns the bytes.
   */
  readBlock(digest: Digest): Promise<Uint8Array | undefined>;
  /** The same as it is sent over a slow link; absent: whoever sends it compresses it. */
  readPacked?(digest: Digest): Promise<PackedBlock | undefined>;
}

/** A block, compressed if that saves anything. */
export interface PackedBlock {
  /** Of the block itself. */
  length: number;
  /** What `compress` made of it, or the block's own bytes. */
  bytes: Uint8Array;
  isCompressed: boolean;
}

/** Brings blocks from wherever they are, whoever is asked. */
export interface BlockFetcher {
  /**
   * Brings blocks, each once, in any order and several at a time. What cannot be had is left out: the caller may know
   * another place.
   *
   * @param options.take gets verified bytes, which it owns; what it throws ends the fetching.
   * @throws CovaultError `E_INTERRUPTED`.
   */
  fetch(
    blocks: readonly Block[],
    options: { take(block: Block, bytes: Uint8Array): Promise<void>; signal?: AbortSignal },
  ): Promise<void>;
}

export type ObjectKind = 'tree' | 'recipe';

/** One moment of a data directory, held until closed. */
export interface Cut {
  id: string;
  /** Nanoseconds since 1970. */
  timeNs: bigint;
  /** The data directory itself; its name is empty. */
  root: DirectoryEntry;
  /** What in the trees is without content, or not known to be of this one moment, and why. */
  exceptions?: readonly SnapshotException[];
  /** The encoded tree or recipe, or undefined if this cut has none of that digest. The caller owns the bytes. */
  readObject(kind: ObjectKind, digest: Digest): Promise<Uint8Array | undefined>;
  /**
   * Somebody still needs it: it is not closed for lack of use.
   *
   * @throws CovaultError `E_NO_SPACE` if its contents could not be kept.
   */
  renew?(): void;
  /** Idempotent. */
  close(): Promise<void>;
}

/** Makes cuts of a data directory. */
export interface CutSource {
  /** Flushes, waits until the index is level, and holds that state. */
  openCut(options: { signal?: AbortSignal }): Promise<Cut>;
}

/** Who holds a run of blocks; the answer has one item for each digest asked for, in the same order. */
export interface HolderLookup {
  /** Names of the live peers that are said to hold each block: hints, verified where the block arrives. */
  holdersOf(digests: readonly Digest[], options: { signal?: AbortSignal }): Promise<string[][]>;
  /** Tells the repository that `peer` did not have these blocks. */
  reportMissing(peer: string, digests: readonly Digest[]): Promise<void>;
}

/** Where a snapshot is put: what `snapshot/` needs of a store. */
export interface SnapshotSink {
  hasBlock(digest: Digest): boolean;
  /**
   * Whether an object was added here, or is in a sealed snapshot: then all it refers to is in the store as well and need
   * not be looked at. False for what an interrupted snapshot left behind; `readObject` may have that nevertheless.
   */
  hasObject(kind: ObjectKind, digest: Digest): boolean;
  /** Also of objects for which `hasObject` is false. @throws CovaultError `E_NOT_FOUND`, `E_CORRUPT`. */
  readObject(kind: ObjectKind, digest: Digest): Promise<Uint8Array>;
  /**
   * Adds a verified block; keeps no reference to `bytes` once resolved. Resolves early, to give backpressure.
   *
   * @param packed what `decompress` has made `bytes` of, if the block came so: need not be compressed again.
   */
  addBlock(block: Block, bytes: Uint8Array, packed?: Uint8Array): Promise<void>;
  addObject(kind: ObjectKind, digest: Digest, bytes: Uint8Array, packed?: Uint8Array): Promise<void>;
  /** Makes everything added so far durable (packs, then their indexes). */
  flush(): Promise<void>;
  /** Bytes written by this sink so far: packs, indexes, records. */
  storedBytes(): number;
}

/** The sequence of digests gained and lost by one client's index, and what it holds in all. */
export interface FeedSource {
  /** Identity of this sequence: 32 hexadecimal digits, new whenever the index is made anew. */
  history(): string;
  /** The last sequence number given out; 0 before the first change. */
  lastSequence(): number;
  /**
   * Changes with sequence numbers above `sequence`, folded together, up to about `digestsMax` digests: each digest that
   * changed is in one list, by what became of it last (gained and lost again: lost, because the receiver may have taken in
   * a part of an earlier answer). `upTo` is the last sequence number they cover.
   */
  changesAfter(sequence: number, digestsMax: number): { gained: Digest[]; lost: Digest[]; upTo: number };
  /** Forgets changes up to `sequence`: the repository has them durably. */
  acknowledge(sequence: number): Promise<void>;
  /** Everything held at one moment: pages of ascending digests, and the sequence number of that moment. */
  holdings(digestsPerPage: number): { sequence: number; pages: Iterable<Digest[]>; close(): void };
  /** Resolves when `lastSequence()` is above `sequence`; rejects when aborted. */
  changedAfter(sequence: number, options: { signal: AbortSignal }): Promise<void>;
}

/** What `browse/` reads of a store. */
export interface SnapshotReader extends BlockSource {
  /** All sealed snapshots, oldest first. Reads the list afresh on every call. */
  listSnapshots(): Promise<SnapshotRecord[]>;
  /** @throws CovaultError `E_CORRUPT` if it is damaged, `E_NOT_FOUND` if the store has none of that digest. */
  readObject(kind: ObjectKind, digest: Digest): Promise<Uint8Array>;
  /** A number that grows with the place of a block in storage, to read many in its order; undefined if not held. */
  readOrder?(digest: Digest): number | undefined;
  /**
   * Brings blocks into a cache in the order in which they stand in storage, as many as its bound allows. A hint: what
   * fails is left to `readBlock`.
   */
  prefetch?(digests: readonly Digest[], options?: { signal?: AbortSignal }): Promise<void>;
}
