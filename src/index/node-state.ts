/** What the data directory says of one inode now, and how that compares with what the index knows. */
import type { BigIntStats } from 'node:fs';
import { constants } from 'node:fs';
import type { EntryKind, Xattr } from '../core/tree.ts';
import { asBuffer, type InodeRow } from './layout.ts';

/** Attributes of one inode, read without following a symlink. */
export interface NodeState {
  inode: bigint;
  kind: EntryKind;
  mode: number;
  uid: number;
  gid: number;
  /** Bytes of a file, else 0. */
  size: number;
  mtimeNs: bigint;
  ctimeNs: bigint;
  nlink: number;
  rdev: bigint;
  target: Uint8Array | undefined;
  xattrs: Xattr[];
  /** Another file system is mounted here; its root stands for an empty directory. `inode` is made up. */
  isForeign: boolean;
}

const kindsByType = new Map<number, EntryKind>([
  [constants.S_IFREG, 'file'],
  [constants.S_IFDIR, 'directory'],
  [constants.S_IFLNK, 'symlink'],
  [constants.S_IFIFO, 'fifo'],
  [constants.S_IFSOCK, 'socket'],
  [constants.S_IFCHR, 'char'],
  [constants.S_IFBLK, 'block'],
]);

/** Undefined for a type that Linux does not have. */
export function kindOf(stats: { mode: bigint | number }): EntryKind | undefined {
  return kindsByType.get(Number(stats.mode) & constants.S_IFMT);
}

/** The attributes in `stats`, without what needs further calls (symlink target, extended attributes). */
export function stateOf(stats: BigIntStats, kind: EntryKind): NodeState {
  return {
    inode: stats.ino,
    kind,
    mode: Number(stats.mode) & 0o7777,
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    size: kind === 'file' ? Number(stats.size) : 0,
    mtimeNs: stats.mtimeNs,
    ctimeNs: stats.ctimeNs,
    nlink: Number(stats.nlink),
    rdev: kind === 'char' || kind === 'block' ? stats.rdev : 0n,
    target: undefined,
    xattrs: [],
    isForeign: false,
  };
}

/** `row` with the attributes of `state`; content and stamp stay. */
export function withState(row: InodeRow | undefined, state: NodeState): InodeRow {
  return {
    kind: state.kind,
    mode: state.mode,
    uid: state.uid,
    gid: state.gid,
    size: state.size,
    mtimeNs: state.mtimeNs,
    ctimeNs: state.ctimeNs,
    nlink: state.nlink,
    rdev: state.rdev,
    target: state.target,
    xattrs: state.xattrs,
    content: row?.content,
    stamp: row?.stamp,
  };
}

/** Whether two rows give different tree entries, contents apart. */
export function differVisibly(a: InodeRow, b: InodeRow): boolean {
  return (
    a.kind !== b.kind ||
    a.mode !== b.mode ||
    a.uid !== b.uid ||
    a.gid !== b.gid ||
    a.mtimeNs !== b.mtimeNs ||
    a.rdev !== b.rdev ||
    isLinked(a) !== isLinked(b) ||
    !sameBytes(a.target, b.target) ||
    !sameXattrs(a.xattrs, b.xattrs)
  );
}

/** Whether the two say the same in every field that the file system keeps. */
export function isSameState(row: InodeRow, state: NodeState): boolean {
  return (
    row.size === state.size &&
    row.ctimeNs === state.ctimeNs &&
    row.nlink === state.nlink &&
    !differVisibly(row, withState(row, state))
  );
}

/** Whether an inode is named more than once, so that its entries must say which they are. */
export function isLinked(row: InodeRow): boolean {
  return row.kind !== 'directory' && row.nlink > 1;
}

function sameBytes(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return asBuffer(a).equals(b);
}

function sameXattrs(a: readonly Xattr[], b: readonly Xattr[]): boolean {
  return (
    a.length === b.length &&
    a.every((xattr, position) => {
      const other = b[position];
      return other !== undefined && sameBytes(xattr.name, other.name) && sameBytes(xattr.value, other.value);
    })
  );
}
