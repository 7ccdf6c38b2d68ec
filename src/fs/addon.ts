/**
 * The door to the addon: loads `native/build/Release/covault.node` and gives its functions types. Within this stage
 * only; other stages use `native.ts` and the sessions. Loaded at first use, once for each thread.
 */
import { createRequire } from 'node:module';
import { CovaultError, systemErrorCode } from '../core/errors.ts';
import type { Xattr } from '../core/tree.ts';
import type { EpochAttributes } from './epoch.ts';

/** A path (its last component is not followed) or a descriptor, which may be one of O_PATH. */
export type NodeReference = Uint8Array | string | number;

/** Numbers of the batch format; see `native/src/mutation_log.h`, the only place where they stand. */
export interface MutationLayout {
  batchSequence: number;
  batchCount: number;
  batchHeaderBytes: number;
  kind: number;
  flags: number;
  nameBytes: number;
  newNameBytes: number;
  inode: number;
  recordHeaderBytes: number;
  first: number;
  second: number;
  nameAfterFirst: number;
  nameAfterSecond: number;
  alignment: number;
  exchange: number;
  kinds: Record<MutationKindName, number>;
}

export type MutationKindName =
  | 'content'
  | 'truncate'
  | 'create'
  | 'link'
  | 'unlink'
  | 'rename'
  | 'attributes'
  | 'xattrs'
  | 'inode'
  | 'subtree'
  | 'cut';

/** The log of one session, `native/src/mutation_log.h`: fed by the engine, emptied by `take`. */
export interface MutationLog {
  /** The oldest waiting batch, or undefined; then the next mutation wakes. */
  take(): Uint8Array | undefined;
  /** Sequence number of the last mutation so far. */
  mark(): number;
  statistics(): MutationLogStatistics;
  /** Does what the engine does, for tests: `first` and `second` as in the layout of the kind's record. */
  report(
    kind: number,
    inode: bigint,
    first?: bigint,
    second?: bigint,
    name?: Uint8Array,
    newName?: Uint8Array,
    exchange?: boolean,
  ): void;
  /** No wake-up follows. Idempotent. */
  close(): void;
}

export interface MutationLogStatistics {
  accepted: number;
  /** Joined with an earlier record. */
  folded: number;
  /** Kept as a coarser record, because the log was full. */
  coarsened: number;
  overflows: number;
  batches: number;
  wakeups: number;
  bytesWaiting: number;
}

export interface MutationLogOptions {
  /** Inode number of the data directory. */
  rootInode: bigint;
  chunkBytes?: number;
  chunksMax?: number;
  coarseRecordsMax?: number;
}

/** What a session has counted since it was mounted, and its present state. */
export interface SessionCounters {
  transport: 'device' | 'io_uring';
  dataMode: 'writeback' | 'write-through';
  /** Why the connection failed; empty unless it did. */
  failure: string;
  /** Requests of the kernel by operation; absent = none. */
  requests: Record<string, number>;
  /** Answers with an errno, "no such file" included. */
  errors: number;
  malformed: number;
  /** Bytes that requests read and wrote; cached reads are not requests. */
  bytesRead: number;
  bytesWritten: number;
  threads: number;
  threadsPeak: number;
  /** Of a live data directory. */
  engine?: EngineCounters;
}

export interface EngineCounters {
  /** Inodes that the kernel knows. */
  inodes: number;
  pathDescriptors: number;
  dataDescriptors: number;
  /** Of both: held because the inode could not be opened again (unlinked, or no file handles). */
  pinnedDescriptors: number;
  openHandles: number;
  reopened: number;
  /** File handles identify inodes. */
  privileged: boolean;
}

/** Epochs of a session, and what they cost; `native/src/epochs.h`. */
export interface EpochStatistics {
  open: { id: number; ageMs: number }[];
  /** Since the mount was made. */
  opened: number;
  failed: number;
  /** Preserved now, and the bound. */
  spaceBytes: number;
  spaceBytesMax: number;
  memoryBytes: number;
  keptDescriptors: number;
  /** The file system below shares blocks (reflink) instead of copying. */
  sharesBlocks: boolean;
  /** For how long changes were held up: by the last cut, and by the last thousand. */
  heldLastNs: number;
  heldP50Ns: number;
  heldP99Ns: number;
  heldMaxNs: number;
  /** The longest that one change waited for a cut, since the mount was made. */
  waitedMaxNs: number;
}

export interface OpenedEpoch {
  id: number;
  timeNs: bigint;
  heldNs: number;
  /** Times that changes were held up; more than one if some did not end in time. */
  attempts: number;
}

/** A regular file as it was at a cut. */
export interface EpochFile {
  attributes(): EpochAttributes;
  /** Fills `into` from `at` with up to `length` bytes from `position` of the file; fewer only at its end. */
  read(into: Uint8Array, at: number, length: number, position: number): number;
  /** The same on a thread of its own, into memory of its own. */
  readLater(position: number, length: number): Promise<Uint8Array>;
  /** As `nextDataRange`. */
  nextData(position: number): { start: number; end: number } | undefined;
  /** Idempotent. */
  close(): void;
}

/** One request of a read-only tree; which fields matter depends on the operation (`native/src/forward.h`). */
export interface TreeRequest {
  id: number;
  operation: number;
  node: bigint;
  handle: number;
  offset: number;
  size: number;
  name: Uint8Array;
}

export type TreeOperation =
  | 'lookup'
  | 'attributes'
  | 'readDirectory'
  | 'readDirectoryPlus'
  | 'readLink'
  | 'read'
  | 'getXattr'
  | 'listXattrs'
  | 'releaseDirectory';

/** Numbers of the answers' layout; see `native/src/forward.h`, the only place where they stand. */
export interface TreeLayout {
  node: number;
  size: number;
  blocks: number;
  atimeNs: number;
  mtimeNs: number;
  ctimeNs: number;
  rdev: number;
  mode: number;
  nlink: number;
  uid: number;
  gid: number;
  cacheMs: number;
  nameBytes: number;
  directoryOffset: number;
  attributesBytes: number;
  operations: Record<TreeOperation, number>;
}

interface AnySessionOptions {
  /** Of /dev/fuse, mounted; taken over. */
  fuseFd: number;
  mountpoint: string;
  /** Path of `fusermount3`, or empty for root: detaches the mount when the process ends. */
  helper: string;
  transport: 'auto' | 'device' | 'io_uring';
}

export interface DataSessionOptions extends AnySessionOptions {
  directoryFd: number;
  dataMode: 'writeback' | 'write-through';
  log: MutationLog;
  /** What open epochs may keep of changed content, bytes. */
  cutSpaceBytes?: number;
  /** Where they keep it if the data directory's file system has no files without a name. */
  spareDirectory?: string;
}

export interface TreeSessionOptions extends AnySessionOptions {
  /** Requests under way at once; more wait in the kernel. */
  inFlightMax: number;
  /** Requests wait to be taken. */
  onRequests: () => void;
}

/** The threads behind one mount. Keeps the process alive until it has stopped. */
export interface NativeSession {
  /** Resolves with what went wrong, or an empty text. */
  start(): Promise<string>;
  /**
   * Lets no caller write into the page cache any more and has the kernel write out what it holds; for a mount with the
   * data mode `writeback` that is to be stopped while files are open.
   */
  finishWrites(): Promise<void>;
  /** Ends the threads; what is still mounted fails with ENOTCONN. Idempotent. */
  stop(): Promise<void>;
  /** For the end of the process: flushes, detaches and ends the threads before it returns. Idempotent. */
  close(): void;
  counters(): SessionCounters;
  /** Makes a cut of a live data directory; `number` stands in the mutations at that moment. */
  openEpoch(number: bigint): Promise<OpenedEpoch>;
  closeEpoch(id: number): Promise<void>;
  epochFailure(id: number): string;
  epochStatistics(): EpochStatistics;
  /** All requests that wait; none = `onRequests` comes with the next one. */
  requests(): TreeRequest[];
  /** @param errno 0, or a positive number. */
  answer(id: number, errno: number, payload?: Uint8Array): void;
}

/**
 * `unused` fails while the mount is in use; `lazy` detaches at once and ends when the last user has gone; `aborted` also
 * makes whatever waits for the server fail.
 */
export type UnmountWay = 'unused' | 'lazy' | 'aborted';

export interface Addon {
  mountFlags: { readOnly: number; noSuid: number; noDevices: number; noExecution: number };
  mountFuse(mountpoint: string, flags: number, options: string): Promise<void>;
  unmountFuse(mountpoint: string, how: UnmountWay): Promise<void>;
  /** Flushes a mount to its server, from a thread of its own. */
  syncMount(mountpoint: string): Promise<void>;
  socketPair(): [number, number];
  receiveDescriptor(socket: number): number;
  treeLayout: TreeLayout;
  Session: new (
    options: DataSessionOptions | TreeSessionOptions,
    onEnd: (reason: 'unmounted' | 'failed') => void,
  ) => NativeSession;
  lookInEpoch(
    epoch: number,
    directory: bigint,
    path: Uint8Array,
    names: readonly Uint8Array[],
  ): { self: EpochAttributes; states: (EpochAttributes | undefined)[] };
  namesInEpoch(epoch: number, directory: bigint, path: Uint8Array): Uint8Array[];
  EpochFile: new (epoch: number, path: Uint8Array, inode: bigint) => EpochFile;
  mutationLayout: MutationLayout;
  MutationLog: new (options: MutationLogOptions, wake: () => void) => MutationLog;
  cutBlocks(bytes: Uint8Array, minBytes: number, normalBytes: number, maxBytes: number, last: boolean): Uint32Array;
  listXattrs(node: NodeReference): Xattr[];
  writeXattr(node: NodeReference, name: Uint8Array | string, value: Uint8Array | string): void;
  removeXattr(node: NodeReference, name: Uint8Array | string): void;
  setTimes(node: NodeReference, atimeNs: bigint | undefined, mtimeNs: bigint | undefined): void;
  makeNode(path: Uint8Array | string, mode: number, rdev: bigint): void;
  nextDataRange(fd: number, offset: number): { start: number; end: number } | undefined;
  setIdleIo(): boolean;
  syncFileSystem(fd: number): Promise<void>;
  openNode(directoryFd: number, path: Uint8Array | string, flags: number): number;
  endProcessAfter(status: number, milliseconds: number): void;
}

const addonPath = '../../native/build/Release/covault.node';

let loaded: Addon | undefined;

/**
 * Lets the end of the process wait no longer than this for threads of its own: one that reads from a disk that hangs
 * never comes back. Without effect unless the addon is in use.
 */
export function limitEnd(status: number, milliseconds: number): void {
  loaded?.endProcessAfter(status, milliseconds);
}

/** @throws CovaultError `E_REQUIREMENT` if the addon is missing or does not fit this Node.js. */
export function loadAddon(): Addon {
  if (loaded) return loaded;
  const require = createRequire(import.meta.url);
  try {
    loaded = require(addonPath) as Addon;
    return loaded;
  } catch (cause) {
    const problem = systemErrorCode(cause) === 'MODULE_NOT_FOUND' ? 'has not been built' : 'cannot be loaded';
    throw new CovaultError('E_REQUIREMENT', `the addon ${problem} (${addonPath.slice('../../'.length)})`, {
      hint: 'run `npm run build` in the directory of Covault',
      cause,
    });
  }
}
