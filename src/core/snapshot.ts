/**
 * The record of one snapshot: what was copied, from whom, when. Writing it is the last act of making a snapshot.
 *
 * Encoded form, version 1: a map with the fields of `SnapshotRecord`, `root` packed as a tree entry.
 */
import { decode, encode } from './codec.ts';
import { CovaultError } from './errors.ts';
import { asBytes, asCount, asInt64, asList, asRecord, asText } from './shape.ts';
import { type DirectoryEntry, packEntry, unpackEntry } from './tree.ts';

/** Bytes of blocks that one peer sent for this snapshot. */
export interface PeerShare {
  peer: string;
  bytes: number;
}

/** A file that is in the tree without its content. */
export interface SnapshotException {
  /** Path within the snapshot, "/" between names. */
  path: Uint8Array;
  reason: string;
}

/** Bytes that the source itself sent, by why it was asked. */
export interface SourceUse {
  /** Blocks of which the map named no other holder. */
  onlyHolder: number;
  /** Blocks that everybody else who was said to hold them lacked, or who was given up. */
  holdersFailed: number;
  /** Blocks whose other holders could not be counted on just then: too busy, too slow, broken of late. */
  notCountedOn: number;
  /** Blocks that others held as well, when the source could be used freely. */
  deadline: number;
  /** Trees and recipes, which come from it alone. */
  objects: number;
}

export const sourceReasons = ['onlyHolder', 'holdersFailed', 'notCountedOn', 'deadline', 'objects'] as const;

export function noSourceUse(): SourceUse {
  return { onlyHolder: 0, holdersFailed: 0, notCountedOn: 0, deadline: 0, objects: 0 };
}

export interface SnapshotRecord {
  /** 16 random bytes as 32 hexadecimal digits. */
  id: string;
  /** Name of the client whose data directory this is. */
  client: string;
  /** The moment of the cut: nanoseconds since 1970. */
  timeNs: bigint;
  root: DirectoryEntry;
  /** Regular files, counted by name. */
  files: number;
  /** Bytes of their contents, each name counted. */
  bytes: number;
  /** Bytes of blocks that the store did not have. */
  newBytes: number;
  /** Of those, bytes that the source itself sent. */
  bytesFromSource: number;
  /** Of `newBytes`, those that nobody but the source held. */
  bytesOnlyAtSource: number;
  /** Why the source was asked: adds up to `bytesFromSource`. Undefined in records from before this was noted. */
  sourceUse?: SourceUse;
  /** Who else sent how much, largest first. */
  peers: PeerShare[];
  /** Bytes added to the store: compressed, encrypted, with indexes and trees. */
  storedBytes: number;
  /** From the command to the seal, seconds. */
  seconds: number;
  exceptions: SnapshotException[];
}

export function encodeSnapshotRecord(record: SnapshotRecord): Uint8Array {
  return encode({ version: 1, ...record, root: packEntry(record.root) });
}

/** @throws CovaultError `E_CORRUPT` or `E_VERSION`. */
export function decodeSnapshotRecord(bytes: Uint8Array): SnapshotRecord {
  const fields = asRecord(decode(bytes, 'snapshot record'), 'snapshot record');
  if (fields.version !== 1)
    throw new CovaultError('E_VERSION', `snapshot record of unknown version ${String(fields.version)}`);
  const root = unpackEntry(fields.root);
  if (root.kind !== 'directory') throw new CovaultError('E_CORRUPT', 'the root of a snapshot is not a directory');
  if (typeof fields.seconds !== 'number') throw new CovaultError('E_CORRUPT', 'seconds is not a number');
  return {
    id: asText(fields.id, 'id', 32),
    client: asText(fields.client, 'client'),
    timeNs: asInt64(fields.timeNs, 'time'),
    root,
    files: asCount(fields.files, 'files'),
    bytes: asCount(fields.bytes, 'bytes'),
    newBytes: asCount(fields.newBytes, 'newBytes'),
    bytesFromSource: asCount(fields.bytesFromSource, 'bytesFromSource'),
    bytesOnlyAtSource: asCount(fields.bytesOnlyAtSource, 'bytesOnlyAtSource'),
    ...(fields.sourceUse === undefined ? {} : { sourceUse: unpackSourceUse(fields.sourceUse) }),
    peers: asList(fields.peers, 'peers').map((value) => {
      const peer = asRecord(value, 'peer');
      return { peer: asText(peer.peer, 'peer'), bytes: asCount(peer.bytes, 'bytes') };
    }),
    storedBytes: asCount(fields.storedBytes, 'storedBytes'),
    seconds: fields.seconds,
    exceptions: asList(fields.exceptions, 'exceptions').map((value) => {
      const exception = asRecord(value, 'exception');
      return { path: asBytes(exception.path, 'path'), reason: asText(exception.reason, 'reason') };
    }),
  };
}

/** What is not known to this release is left out. */
function unpackSourceUse(value: unknown): SourceUse {
  const fields = asRecord(value, 'sourceUse');
  const use = noSourceUse();
  for (const reason of sourceReasons) use[reason] = asCount(fields[reason], reason);
  return use;
}
