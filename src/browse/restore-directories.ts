/** Makes the directories of a restore, and gives them their attributes once everything in them is there. */
import { chmodSync, closeSync, constants, fstatSync, openSync } from 'node:fs';
import { lstat, mkdir, unlink } from 'node:fs/promises';
import { systemErrorCode } from '../core/errors.ts';
import type { DirectoryEntry } from '../core/tree.ts';
import { type DirectoryHandles, entryPath, type Place } from './directory-handles.ts';
import { type AppliedAttributes, applyAttributes, removeInheritedLists } from './restore-attributes.ts';
import type { MadeLog } from './restore-made-log.ts';
import type { ExistingEntries } from './restore-target.ts';

/** Flag of open(2) for a descriptor that serves only to name a node; not among the constants of Node.js. */
const openPathOnly = 0o10000000;

const ownerBits = 0o700;

export class RestoreDirectories {
  readonly #handles: DirectoryHandles;
  readonly #existing: ExistingEntries;
  readonly #madeLog: MadeLog | undefined;
  readonly #fresh = new WeakSet<Place>();
  readonly #ours = new WeakSet<Place>();

  /** @param madeLog needed if directories that are there keep their attributes. */
  constructor(handles: DirectoryHandles, existing: ExistingEntries, madeLog: MadeLog | undefined) {
    this.#handles = handles;
    this.#existing = existing;
    this.#madeLog = madeLog;
  }

  /** Whether the directory was made by this run: nothing can be in it but what this run put there. */
  isFresh(directory: Place): boolean {
    return this.#fresh.has(directory);
  }

  /** Declares the top to be empty. */
  topIsFresh(): void {
    this.#fresh.add(this.#handles.top);
  }

  /**
   * Makes a directory that only the caller can use, or takes the one that is there.
   *
   * @throws the operating system's error; `EEXIST` if something else is there that must stay.
   */
  async make(directory: Place): Promise<void> {
    const parent = directory.parent ?? this.#handles.top;
    await this.#handles.use(parent, async (fd) => {
      const path = entryPath(fd, directory.name);
      if (this.isFresh(parent) || !(await this.#take(path, directory))) await this.#makeNew(path, directory);
    });
    // Lists are inherited only from a directory that was there before: those made here get theirs last.
    if (this.isFresh(directory) && !this.isFresh(parent)) await this.#handles.use(directory, removeInheritedLists);
  }

  /** Gives the directory its attributes, unless it was there before and keeps its own. */
  async finish(directory: Place, entry: DirectoryEntry): Promise<AppliedAttributes> {
    if (!this.#ours.has(directory)) return { problems: [], isForeign: false };
    return this.#handles.use(directory, (fd) => applyAttributes(fd, entry));
  }

  async #makeNew(path: Buffer, directory: Place): Promise<void> {
    await this.#madeLog?.add(directory);
    await mkdir(path, ownerBits);
    this.#fresh.add(directory);
    this.#ours.add(directory);
  }

  /** False if nothing is there any more, so that a directory can be made. */
  async #take(path: Buffer, directory: Place): Promise<boolean> {
    const stats = await lstat(path).catch((error: unknown) => {
      if (systemErrorCode(error) === 'ENOENT') return undefined;
      throw error;
    });
    if (stats === undefined) return false;
    if (!stats.isDirectory()) {
      if (this.#existing === 'keep') throw Object.assign(new Error('EEXIST: no directory'), { code: 'EEXIST' });
      await unlink(path);
      return false;
    }
    if (this.#existing !== 'keep' || this.#madeLog?.has(directory)) {
      this.#ours.add(directory);
      giveOwnerAccess(path);
    }
    return true;
  }
}

/** Lets the owner work in a directory that an earlier run may have finished with fewer rights. */
function giveOwnerAccess(path: Buffer): void {
  if (process.geteuid?.() === 0) return;
  const fd = openSync(path, openPathOnly | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    const { mode, uid } = fstatSync(fd);
    if ((mode & ownerBits) === ownerBits || uid !== process.geteuid?.()) return;
    // A descriptor of this kind takes no fchmod; its entry in /proc leads to the very directory it stands for.
    chmodSync(`/proc/self/fd/${fd}`, (mode & 0o7777) | ownerBits);
  } finally {
    closeSync(fd);
  }
}
