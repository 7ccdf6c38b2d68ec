/** Makes nodes in the staging directory and moves them to their names; nothing here follows a final symlink. */
import { linkSync, lstatSync, renameSync, symlinkSync, unlinkSync } from 'node:fs';
import { systemErrorCode } from '../core/errors.ts';
import type { TreeEntry } from '../core/tree.ts';
import { makeNode } from '../fs/native.ts';
import { fullMode } from './node-attributes.ts';

/** Makes a symlink, FIFO, socket or device node. @throws the operating system's error. */
export function makeOther(path: Buffer, entry: Exclude<TreeEntry, { kind: 'file' | 'directory' }>): void {
  if (entry.kind === 'symlink') symlinkSync(Buffer.from(entry.target), path);
  else makeNode(path, fullMode(entry.kind, 0o600), 'rdev' in entry ? entry.rdev : 0n);
}

/**
 * Moves a finished node to its name on the same file system.
 *
 * @param mayReplace whatever stands there, unless it is a directory, is replaced in one step; else `EEXIST` is thrown.
 */
export function moveInto(from: Buffer, to: Buffer, mayReplace: boolean): void {
  if (mayReplace) {
    renameSync(from, to);
    return;
  }
  try {
    linkSync(from, to);
  } catch (error) {
    if (!hasNoHardLinks(error)) throw error;
    renameIfFree(from, to);
    return;
  }
  unlinkSync(from);
}

/** Gives the file at `from` a further name. `through`: a free name in the staging directory. */
export function linkInto(from: Buffer, to: Buffer, options: { mayReplace: boolean; through: Buffer }): void {
  if (!options.mayReplace) {
    linkSync(from, to);
    return;
  }
  linkSync(from, options.through);
  renameSync(options.through, to);
}

/** Removes what is left in the staging directory; that nothing is there is fine. */
export function removeStaged(path: Buffer): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
  }
}

function hasNoHardLinks(error: unknown): boolean {
  const code = systemErrorCode(error);
  return code === 'EPERM' || code === 'EOPNOTSUPP' || code === 'ENOTSUP' || code === 'ENOSYS' || code === 'EMLINK';
}

/** The best there is where a file cannot have two names: checked, then renamed. */
function renameIfFree(from: Buffer, to: Buffer): void {
  try {
    lstatSync(to);
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
    renameSync(from, to);
    return;
  }
  throw Object.assign(new Error('EEXIST: file already exists'), { code: 'EEXIST' });
}
