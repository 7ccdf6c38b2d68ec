/**
 * Remembers, over an interruption, which directories a restore made itself. Only needed where directories that were
 * there before keep their attributes: those made by an earlier run of the same restore must still get theirs.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { type Place, pathOf } from './directory-handles.ts';

export class MadeLog {
  readonly #file: FileHandle;
  /** Paths as latin1. */
  readonly #before: ReadonlySet<string>;

  private constructor(file: FileHandle, before: ReadonlySet<string>) {
    this.#file = file;
    this.#before = before;
  }

  /** @param path of the log, which is made if it is not there. */
  static async open(path: Buffer): Promise<MadeLog> {
    const file = await open(
      path,
      constants.O_RDWR | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW,
      0o600,
    );
    const records = (await file.readFile()).toString('latin1').split('\0');
    // What follows the last zero byte is empty, or was cut off while it was written and never made.
    return new MadeLog(file, new Set(records.slice(0, -1)));
  }

  /** Whether an earlier run made this directory. */
  has(place: Place): boolean {
    return this.#before.has(pathOf(place).toString('latin1'));
  }

  /** To be called before the directory is made. */
  async add(place: Place): Promise<void> {
    // The leading zero byte ends a record that was cut off.
    await this.#file.write(Buffer.concat([zero, pathOf(place), zero]));
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

const zero = Buffer.alloc(1);
