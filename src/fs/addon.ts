/**
 * The door to the addon: loads `native/build/Release/covault.node` and gives its functions types. Within this stage
 * only; other stages use `native.ts` and the sessions. Loaded at first use, once for each thread.
 */
import { createRequire } from 'node:module';
import { CovaultError, systemErrorCode } from '../core/errors.ts';
import type { Xattr } from '../core/tree.ts';

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
  | 'subtree';

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

export interface Addon {
  mutationLayout: MutationLayout;
  MutationLog: new (options: MutationLogOptions, wake: () => void) => MutationLog;
  cutBlocks(bytes: Uint8Array, minBytes: number, normalBytes: number, maxBytes: number, last: boolean): Uint32Array;
  listXattrs(node: NodeReference): Xattr[];
  writeXattr(node: NodeReference, name: Uint8Array | string, value: Uint8Array | string): void;
  removeXattr(node: NodeReference, name: Uint8Array | string): void;
  setTimes(node: NodeReference, atimeNs: bigint | undefined, mtimeNs: bigint | undefined): void;
  makeNode(path: Uint8Array | string, mode: number, rdev: bigint): void;
  nextDataRange(fd: number, offset: number): { start: number; end: number } | undefined;
  syncFileSystem(fd: number): Promise<void>;
  openNode(directoryFd: number, path: Uint8Array | string, flags: number): number;
}

const addonPath = '../../native/build/Release/covault.node';

let loaded: Addon | undefined;

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
