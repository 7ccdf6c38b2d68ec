/** What to do about something that stands already where an entry is to be restored: a decision without I/O. */
import type { BigIntStats } from 'node:fs';
import type { TreeEntry } from '../core/tree.ts';
import type { ExistingEntries } from './restore-target.ts';

export type Decision =
  | { do: 'create' } // nothing is there
  | { do: 'nothing' } // it is there and right
  | { do: 'replace' }
  | { do: 'leave'; reason: string }; // an exception

/** What is known of the place. */
export interface Present {
  /** Undefined if nothing is there. */
  stats: BigIntStats | undefined;
  /** Of a symlink. */
  target?: Uint8Array;
}

/**
 * @param policy for what is there and differs; `refuse` only meets what an earlier run of the same restore left.
 * @param isTrusted an entry whose attributes are right counts as right.
 */
export function decide(
  entry: TreeEntry,
  present: Present,
  policy: ExistingEntries,
  options: { isTrusted: boolean; checksOwner: boolean },
): Decision {
  const { stats } = present;
  if (stats === undefined) return { do: 'create' };
  if (stats.isDirectory()) return { do: 'leave', reason: 'a directory stands in its place' };
  const looksRight = isAsInSnapshot(entry, stats, present.target, options.checksOwner);
  if (looksRight && (options.isTrusted || policy === 'keep')) return { do: 'nothing' };
  if (policy === 'keep') return { do: 'leave', reason: 'it exists already, with other content or attributes' };
  return { do: 'replace' };
}

/** Kind, size, mode, owner, time to the nanosecond, target or device; extended attributes and content are not read. */
function isAsInSnapshot(
  entry: TreeEntry,
  stats: BigIntStats,
  target: Uint8Array | undefined,
  checksOwner: boolean,
): boolean {
  if (stats.mtimeNs !== entry.mtimeNs) return false;
  if (checksOwner && (Number(stats.uid) !== entry.uid || Number(stats.gid) !== entry.gid)) return false;
  if (entry.kind !== 'symlink' && Number(stats.mode & 0o7777n) !== entry.mode) return false;
  switch (entry.kind) {
    case 'file':
      return stats.isFile() && Number(stats.size) === entry.size;
    case 'symlink':
      return stats.isSymbolicLink() && target !== undefined && Buffer.compare(target, entry.target) === 0;
    case 'fifo':
      return stats.isFIFO();
    case 'socket':
      return stats.isSocket();
    case 'char':
      return stats.isCharacterDevice() && stats.rdev === entry.rdev;
    case 'block':
      return stats.isBlockDevice() && stats.rdev === entry.rdev;
    case 'directory':
      return false;
  }
}
