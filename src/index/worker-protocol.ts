/** What the index's threads are told and answer. Plain values that survive being copied between threads. */
import type { Digest } from '../core/digest.ts';
import type { CutParameters } from '../core/domain.ts';
import type { PackedBlock } from '../core/ports.ts';
import type { Piece } from './content-hash.ts';
import type { NodeState } from './node-state.ts';
import type { OldContent } from './recut.ts';

export interface WorkerSettings {
  /** The data directory; belongs to the main thread and stays open as long as the worker lives. */
  directoryFd: number;
  digestKey: Uint8Array;
  cut: CutParameters;
  /** One element in shared memory: not 0 when the worker shall end what it does. */
  stop: Int32Array;
  /** Added to the thread's nice value: 0 to 19. */
  niceness: number;
  /** The disk serves the thread when nobody else needs it. */
  hasIdleIo?: boolean;
}

/** Which moment of the data directory is meant. */
export interface OfMoment {
  /** Number of an open epoch; absent: the present. */
  epoch?: number | undefined;
}

/** Read and hash these files. */
export interface HashRequest extends OfMoment {
  kind: 'hash';
  files: HashFile[];
}

export interface HashFile {
  inode: bigint;
  /** Relative to the data directory. */
  path: Uint8Array;
  /** What may stand; undefined: hash the whole. */
  old: OldContent | undefined;
}

/** What changes whenever a file does. */
export interface FileTimes {
  size: number;
  mtimeNs: bigint;
  ctimeNs: bigint;
}

export type HashOutcome =
  | {
      inode: bigint;
      kind: 'read';
      before: FileTimes;
      after: FileTimes;
      size: number;
      pieces: Piece[];
      bytesHashed: number;
    }
  /** The path leads to another inode, or to none. */
  | { inode: bigint; kind: 'gone' }
  | { inode: bigint; kind: 'failed'; code: string }
  | { inode: bigint; kind: 'stopped' };

/** Look at names within directories. */
export interface LookRequest extends OfMoment {
  kind: 'look';
  directories: LookDirectory[];
}

export interface LookDirectory {
  directory: bigint;
  path: Uint8Array;
  names: Uint8Array[];
}

/** `self` is the directory's own state; `states` has one item for each name, undefined for one that is not there. */
export type LookOutcome =
  | { directory: bigint; kind: 'seen'; self: NodeState; states: (NodeState | undefined)[] }
  | { directory: bigint; kind: 'gone' }
  | { directory: bigint; kind: 'failed'; code: string };

/** List a directory, names in ascending byte order. */
export interface ListRequest extends OfMoment {
  kind: 'list';
  directory: bigint;
  path: Uint8Array;
  /** Only names after this one; undefined: from the first, freshly read. */
  after: Uint8Array | undefined;
  entriesMax: number;
}

export type ListOutcome =
  | {
      kind: 'listed';
      self: NodeState;
      entries: { name: Uint8Array; state: NodeState }[];
      /** The last name that was looked at, whether it is still there or not; undefined: there was none. */
      last: Uint8Array | undefined;
      /** There are names after it. */
      more: boolean;
    }
  | { kind: 'gone' }
  | { kind: 'failed'; code: string };

/** Read a block from an open file, which stays open until the answer; it has no position of its own. */
export interface ReadRequest {
  kind: 'read';
  fd: number;
  offset: number;
  length: number;
  /** What the bytes must have. */
  digest: Digest;
  /** To be compressed, if that saves anything. */
  isToBePacked: boolean;
}

export type WorkerRequest = HashRequest | LookRequest | ListRequest | ReadRequest;

export interface AnswerTo {
  hash: HashOutcome[];
  look: LookOutcome[];
  list: ListOutcome;
  /** Undefined if the file has another content there. The receiver owns the bytes. */
  read: PackedBlock | undefined;
}
