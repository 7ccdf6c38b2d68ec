/**
 * The directory that a snapshot is restored into: whether it may be, and the staging directory within it, in which
 * everything is made complete before it gets its name.
 *
 * The staging directory also holds a note of what is being restored. As long as it is there the restore is unfinished,
 * and the same restore continues; any other one is refused.
 */
import { type BigIntStats, constants, readFileSync, unlinkSync } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, readdir, readFile, rmdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { writeFileAtomic } from '../core/atomic-file.ts';
import { CovaultError, ioError, systemErrorCode } from '../core/errors.ts';
import { asBoolean, asCount, asRecord, asText } from '../core/shape.ts';
import { syncFileSystem } from '../fs/native.ts';
import { DirectoryHandles, entryPath } from './directory-handles.ts';
import { checkKeptOut } from './kept-out.ts';
import { removeInheritedLists } from './restore-attributes.ts';
import { removeStaged } from './restore-placing.ts';

/**
 * What becomes of entries that are in the target already: `refuse` wants an empty target (or an unfinished restore of
 * the same), `keep` leaves them as they are, `replace` puts the snapshot's in their place.
 */
export type ExistingEntries = 'refuse' | 'keep' | 'replace';

export interface TargetOptions {
  existing: ExistingEntries;
  /** Identifies what is restored: only the same restore may continue an unfinished one. */
  restoreId: string;
  /** Directories that must not be restored into, such as the store. */
  keepOut: readonly string[];
  /** Whether the snapshot has an entry of that name at its top. */
  isTaken: (name: string) => boolean;
}

/** What the note says. */
interface Note {
  restoreId: string;
  /** The target had entries when the restore began. */
  isMerge: boolean;
  /** The boot of the machine and the process in which the restore last ran. */
  bootId: string;
  process: string;
}

const stagingName = '.covault-restore';
const noteName = Buffer.from('note.json');
const madeLogName = Buffer.from('made.log');
const directoryFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

export class RestoreTarget {
  readonly path: string;
  readonly handles: DirectoryHandles;
  /** The target had entries of its own when the restore began. */
  readonly isMerge: boolean;
  /** An earlier run of the same restore was not finished. */
  readonly isContinued: boolean;
  /**
   * Files found complete may be taken for complete: false after a restart of the machine, which may have lost content
   * of files that the earlier run had finished.
   */
  readonly trustsPresent: boolean;
  readonly #top: FileHandle;
  readonly #staging: FileHandle;
  readonly #stagingName: string;
  #nextNumber = 1;

  private constructor(
    parts: { path: string; top: FileHandle; staging: FileHandle; stagingName: string },
    state: { isMerge: boolean; isContinued: boolean; trustsPresent: boolean },
  ) {
    this.path = parts.path;
    this.#top = parts.top;
    this.#staging = parts.staging;
    this.#stagingName = parts.stagingName;
    this.isMerge = state.isMerge;
    this.isContinued = state.isContinued;
    this.trustsPresent = state.trustsPresent;
    this.handles = new DirectoryHandles(parts.top);
  }

  /**
   * Makes or opens the directory and prepares it.
   *
   * @throws CovaultError `E_EXISTS` if it is not empty and `existing` is `refuse`, or if it holds another unfinished
   * restore; `E_BUSY` if that one is running; `E_BAD_INPUT` for a place to keep out of; `E_NOT_FOUND`, `E_IO`.
   */
  static async open(target: string, options: TargetOptions): Promise<RestoreTarget> {
    const path = resolve(target);
    await checkKeptOut(path, options.keepOut);
    const top = await openOrMake(path);
    try {
      return await RestoreTarget.#prepare(path, top, options);
    } catch (error) {
      await top.close();
      throw ioError(error, `restore into ${path}`);
    }
  }

  static async #prepare(path: string, top: FileHandle, options: TargetOptions): Promise<RestoreTarget> {
    const name = freeStagingName(options.isTaken);
    const names = await readdir(entryPath(top.fd, Buffer.from('.')));
    const hasOthers = names.some((one) => one !== name);
    if (!names.includes(name) && hasOthers && options.existing === 'refuse') throw notEmpty(path);
    const staging = await openStaging(top, name);
    try {
      const note = await readNote(staging);
      if (note !== undefined) checkNote(note, options.restoreId, join(path, name));
      else if (hasOthers && options.existing === 'refuse') throw notEmpty(path);
      const bootId = currentBootId();
      const isMerge = note?.isMerge ?? hasOthers;
      await removeLeftovers(staging);
      removeInheritedLists(staging.fd);
      if (!isMerge) removeInheritedLists(top.fd);
      await writeNote(staging, { restoreId: options.restoreId, isMerge, bootId, process: thisProcess() });
      return new RestoreTarget(
        { path, top, staging, stagingName: name },
        { isMerge, isContinued: note !== undefined, trustsPresent: note === undefined || note.bootId === bootId },
      );
    } catch (error) {
      await staging.close();
      throw error;
    }
  }

  /** Name of the staging directory at the top. */
  get stagingName(): string {
    return this.#stagingName;
  }

  get topFd(): number {
    return this.#top.fd;
  }

  /** The path of a new name in the staging directory: valid in this process until `finish` or `close`. */
  stagingPath(): Buffer {
    const name = Buffer.from(String(this.#nextNumber));
    this.#nextNumber += 1;
    return entryPath(this.#staging.fd, name);
  }

  /** Where `MadeLog` is kept for as long as the restore is unfinished. */
  get madeLogPath(): Buffer {
    return entryPath(this.#staging.fd, madeLogName);
  }

  /** Makes everything durable and removes the staging directory: the restore is finished. */
  async finish(): Promise<void> {
    await syncFileSystem(this.#top.fd);
    await removeLeftovers(this.#staging);
    for (const name of [madeLogName, noteName]) removeStaged(entryPath(this.#staging.fd, name));
    await rmdir(entryPath(this.#top.fd, Buffer.from(this.#stagingName)));
  }

  /** Closes all descriptors. An unfinished restore can be continued, half-made files go. */
  async close(): Promise<void> {
    await removeLeftovers(this.#staging).catch(() => undefined);
    await this.#staging.close();
    await this.handles.close();
  }
}

function notEmpty(path: string): CovaultError {
  return new CovaultError('E_EXISTS', `${path} is not empty`, {
    hint: 'give a directory that does not exist yet, or say what becomes of the files that are there',
  });
}

async function openOrMake(path: string): Promise<FileHandle> {
  try {
    await mkdir(path, 0o700);
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw ioError(error, `make directory ${path}`);
  }
  try {
    return await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOTDIR') throw new CovaultError('E_EXISTS', `${path} is not a directory`);
    throw ioError(error, `open directory ${path}`);
  }
}

/** The usual name, unless the snapshot itself has an entry of that name. */
function freeStagingName(isTaken: (name: string) => boolean): string {
  let name = stagingName;
  for (let number = 2; isTaken(name); number += 1) name = `${stagingName}-${number}`;
  return name;
}

/** Makes it, or opens the one of an unfinished restore. */
async function openStaging(top: FileHandle, name: string): Promise<FileHandle> {
  const path = entryPath(top.fd, Buffer.from(name));
  try {
    await mkdir(path, 0o700);
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw error;
  }
  const stats: BigIntStats = await lstat(path, { bigint: true });
  if (!stats.isDirectory() || Number(stats.uid) !== process.geteuid?.() || (stats.mode & 0o077n) !== 0n) {
    throw new CovaultError('E_EXISTS', `${name} in the target was not made by a restore of this user`, {
      hint: 'move it away, or restore into another directory',
    });
  }
  return open(path, directoryFlags);
}

async function readNote(staging: FileHandle): Promise<Note | undefined> {
  let text: string;
  try {
    const file = await open(entryPath(staging.fd, noteName), constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      text = (await readFile(file)).toString();
    } finally {
      await file.close();
    }
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  return parseNote(text);
}

/** @throws CovaultError `E_CORRUPT`. */
function parseNote(text: string): Note {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new CovaultError('E_CORRUPT', `the note of the unfinished restore in ${stagingName} is damaged`, { cause });
  }
  const fields = asRecord(value, 'note of the restore');
  asCount(fields['version'], 'version of the note', 1, 1);
  return {
    restoreId: asText(fields['restoreId'], 'restoreId'),
    isMerge: asBoolean(fields['isMerge'], 'isMerge'),
    bootId: asText(fields['bootId'], 'bootId'),
    process: asText(fields['process'], 'process'),
  };
}

async function writeNote(staging: FileHandle, note: Note): Promise<void> {
  await writeFileAtomic(entryPath(staging.fd, noteName).toString(), JSON.stringify({ version: 1, ...note }));
}

function checkNote(note: Note, restoreId: string, shownStaging: string): void {
  if (note.bootId === currentBootId() && note.process !== thisProcess() && isRunning(note.process)) {
    throw new CovaultError('E_BUSY', `${dirname(shownStaging)} is being restored into by process ${note.process}`);
  }
  if (note.restoreId !== restoreId) {
    throw new CovaultError('E_EXISTS', `${dirname(shownStaging)} holds an unfinished restore of something else`, {
      hint: `finish that one, or remove ${shownStaging} and say what becomes of the files that are there`,
    });
  }
}

async function removeLeftovers(staging: FileHandle): Promise<void> {
  for (const name of await readdir(entryPath(staging.fd, Buffer.from('.')), { encoding: 'buffer' })) {
    if (!name.equals(noteName) && !name.equals(madeLogName)) unlinkSync(entryPath(staging.fd, name));
  }
}

function currentBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

/** This process, told from a later one with the same number by the time of its start. */
function thisProcess(): string {
  return `${process.pid}@${startOf(process.pid) ?? ''}`;
}

function isRunning(described: string): boolean {
  const [pid, start] = described.split('@');
  return start !== undefined && start !== '' && startOf(Number(pid)) === start;
}

/** Clock ticks from boot to the start of a process: the 22nd field of its `stat`, counted behind the name. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}
