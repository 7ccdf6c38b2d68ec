/**
 * Gives a node the attributes of a snapshot's entry. The order matters: a change of owner takes setuid, setgid and
 * capabilities away, an access control list changes the permission bits, and everything else changes times.
 */
import { chmodSync, fchmodSync, fchownSync, lchownSync } from 'node:fs';
import { systemErrorCode } from '../core/errors.ts';
import type { TreeEntry, Xattr } from '../core/tree.ts';
import { listXattrs, removeXattr, setTimes, writeXattr } from '../fs/native.ts';
import { reasonOf } from './restore-report.ts';

/**
 * An open file or directory, or the path of a node in a directory that nobody else can change (its last component is
 * not followed, but for the mode of what is no symlink).
 */
export type NodeToChange = number | Buffer;

export interface AppliedAttributes {
  /** What could not be given, in words. */
  problems: string[];
  /** The node belongs to somebody else than in the snapshot. */
  isForeign: boolean;
}

const setuidBit = 0o4000;
const setgidBit = 0o2000;
const isRoot = process.geteuid?.() === 0;

/** @throws what is not about this node alone, such as `ENOSPC`; the rest comes back as problems. */
export function applyAttributes(node: NodeToChange, entry: TreeEntry): AppliedAttributes {
  const problems: string[] = [];
  const attempt = (what: string, act: () => void): boolean => {
    try {
      act();
      return true;
    } catch (error) {
      problems.push(`${what}: ${reasonOf(error)}`);
      return false;
    }
  };
  const { isOwned, isOfGroup } = applyOwner(node, entry, attempt);
  applyXattrs(node, entry, attempt);
  if (entry.kind !== 'symlink') {
    // Bits that grant the rights of an owner must not grant those of another one.
    const dropped = (isOwned ? 0 : setuidBit) | (isOfGroup || entry.kind === 'directory' ? 0 : setgidBit);
    if ((entry.mode & dropped) !== 0) problems.push('setuid or setgid left out, because the owner differs');
    attempt('mode', () => changeMode(node, entry.mode & ~dropped));
  }
  attempt('times', () => setTimes(node, entry.mtimeNs, entry.mtimeNs));
  return { problems, isForeign: !isOwned || !isOfGroup };
}

type Attempt = (what: string, act: () => void) => boolean;

function applyOwner(node: NodeToChange, entry: TreeEntry, attempt: Attempt): { isOwned: boolean; isOfGroup: boolean } {
  if (isRoot) {
    const isOwned = attempt('owner', () => changeOwner(node, entry.uid, entry.gid));
    return { isOwned, isOfGroup: isOwned };
  }
  const isOwned = entry.uid === process.geteuid?.();
  if (entry.gid === process.getegid?.()) return { isOwned, isOfGroup: true };
  try {
    // Allowed for groups that the caller is a member of.
    changeOwner(node, -1, entry.gid);
    return { isOwned, isOfGroup: true };
  } catch {
    return { isOwned, isOfGroup: false };
  }
}

/** Sets what the entry has; takes away access control lists and user attributes that it has not. */
function applyXattrs(node: NodeToChange, entry: TreeEntry, attempt: Attempt): void {
  const present = new Map<string, Xattr>();
  attempt('extended attributes', () => {
    for (const xattr of listXattrs(node)) present.set(nameOf(xattr), xattr);
  });
  for (const xattr of entry.xattrs) {
    const name = nameOf(xattr);
    const before = present.get(name);
    present.delete(name);
    if (before !== undefined && Buffer.compare(before.value, xattr.value) === 0) continue;
    attempt(`extended attribute ${name}`, () => writeXattr(node, xattr.name, xattr.value));
  }
  for (const [name, xattr] of present) {
    if (!name.startsWith('user.') && !name.startsWith('system.posix_acl_')) continue;
    attempt(`extended attribute ${name}`, () => removeXattr(node, xattr.name));
  }
}

function nameOf(xattr: Xattr): string {
  return Buffer.from(xattr.name).toString();
}

/** -1 leaves one as it is. */
function changeOwner(node: NodeToChange, uid: number, gid: number): void {
  if (typeof node === 'number') fchownSync(node, uid, gid);
  else lchownSync(node, uid, gid);
}

function changeMode(node: NodeToChange, mode: number): void {
  if (typeof node === 'number') fchmodSync(node, mode);
  else chmodSync(node, mode);
}

/** Takes away the access control lists that a new directory inherited. @throws the operating system's error. */
export function removeInheritedLists(node: NodeToChange): void {
  for (const name of ['system.posix_acl_default', 'system.posix_acl_access']) {
    try {
      removeXattr(node, name);
    } catch (error) {
      const code = systemErrorCode(error);
      if (code !== 'ENODATA' && code !== 'EOPNOTSUPP' && code !== 'ENOTSUP') throw error;
    }
  }
}
