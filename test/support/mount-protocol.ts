/** What a test and its mount daemon say to each other: one JSON value a line, requests on stdin, answers on stdout. */
import type { Mutation } from '../../src/core/mutation.ts';
import type { DataMode, TransportChoice } from '../../src/fs/session.ts';

/** Mount options that fit into JSON; the daemon adds `onMutations`. */
export interface DaemonMountOptions {
  dataDirectory: string;
  at?: string;
  dataMode?: DataMode;
  transport?: TransportChoice;
  keepOut?: string[];
  searchPath?: string;
  /** False: mutations are taken and thrown away, for more of them than fit into memory. */
  keepMutations?: boolean;
  cutSpaceBytes?: number;
  spareDirectory?: string;
  mutationLog?: { chunkBytes?: number; chunksMax?: number; coarseRecordsMax?: number };
}

export type DaemonRequest =
  | { id: number; method: 'mount'; options: DaemonMountOptions }
  | { id: number; method: 'settle' }
  | { id: number; method: 'mutations' }
  | { id: number; method: 'counters' }
  | { id: number; method: 'openFiles' }
  | { id: number; method: 'openEpoch' }
  | { id: number; method: 'closeEpoch'; epoch: number }
  | { id: number; method: 'epochFailure'; epoch: number }
  | { id: number; method: 'lookInEpoch'; epoch: number; directory: bigint; path: Uint8Array; names: Uint8Array[] }
  | { id: number; method: 'namesInEpoch'; epoch: number; directory: bigint; path: Uint8Array }
  | { id: number; method: 'readInEpoch'; epoch: number; path: Uint8Array; inode: bigint }
  | { id: number; method: 'block'; ms: number; until: string | undefined }
  | { id: number; method: 'unmount'; lazy: boolean }
  | { id: number; method: 'exit'; unmountFirst: boolean };

/** An epoch that a daemon has opened, and the mutations that it delivered before the cut. */
export interface DaemonEpoch {
  id: number;
  timeNs: bigint;
  heldNs: number;
  before: Mutation[];
}

export interface DaemonFailure {
  code?: string | undefined;
  message: string;
  hint?: string | undefined;
}

/** `event` lines come by themselves; the others answer the request of that id. */
export type DaemonLine =
  | { id: number; result: unknown }
  | { id: number; error: DaemonFailure }
  | { event: 'closed'; error?: DaemonFailure };

/** bigint as `{"$big": "…"}`, bytes as `{"$hex": "…"}`. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) => {
    if (typeof item === 'bigint') return { $big: item.toString() };
    if (item instanceof Uint8Array) return { $hex: Buffer.from(item).toString('hex') };
    // A Buffer arrives here as what its toJSON made of it.
    if (isBufferJson(item)) return { $hex: Buffer.from(item.data).toString('hex') };
    return item;
  });
}

export function fromJson(text: string): unknown {
  return JSON.parse(text, (_key, item: unknown) => {
    if (typeof item !== 'object' || item === null) return item;
    if ('$big' in item) return BigInt(item.$big as string);
    if ('$hex' in item) return new Uint8Array(Buffer.from(item.$hex as string, 'hex'));
    return item;
  });
}

function isBufferJson(item: unknown): item is { data: number[] } {
  return typeof item === 'object' && item !== null && 'type' in item && item.type === 'Buffer' && 'data' in item;
}

/** A mutation in one short line, inode numbers by the names that `nameOf` gives them: for comparing whole sequences. */
export function describeMutation(mutation: Mutation, nameOf: (inode: bigint) => string): string {
  const subject = `${mutation.kind} ${nameOf(mutation.inode)}`;
  const text = (name: Uint8Array) => Buffer.from(name).toString('latin1');
  switch (mutation.kind) {
    case 'content':
      return `${subject} ${mutation.offset}+${mutation.length}`;
    case 'truncate':
      return `${subject} ${mutation.size}`;
    case 'create':
    case 'link':
    case 'unlink':
      return `${subject} ${nameOf(mutation.parent)}/${text(mutation.name)}`;
    case 'rename': {
      const arrow = mutation.exchange ? '<->' : '->';
      const from = `${nameOf(mutation.parent)}/${text(mutation.name)}`;
      return `${subject} ${from} ${arrow} ${nameOf(mutation.newParent)}/${text(mutation.newName)}`;
    }
    default:
      return subject;
  }
}
