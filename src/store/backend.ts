/**
 * Where a store's files are kept: the one interface that a kind of storage must offer. What it must do in every case
 * is stated by `test/store/backend-suite.ts`, which runs against each implementation.
 */
import { CovaultError } from '../core/errors.ts';

export interface BackendFile {
  name: string;
  bytes: number;
}

export interface ByteRange {
  offset: number;
  length: number;
}

/**
 * Files under names of lowercase letters, digits and "/" (`checkBackendName`). Files are written whole and never
 * changed; any number of processes may read and write at once. Every call may reject with `E_IO`.
 */
export interface Backend {
  /** What messages call this place. */
  readonly location: string;
  /**
   * Every file below the folder `prefix` ("packs/", or "" for all), in ascending order of names. Files that were not
   * put there through this interface are listed too, whatever their names; leftovers of interrupted writes are not.
   */
  list(prefix: string): Promise<BackendFile[]>;
  /**
   * A file's bytes, or those of a range; the caller owns them.
   *
   * @throws CovaultError `E_NOT_FOUND`; `E_CORRUPT` if the file ends before the range does.
   */
  read(name: string, range?: ByteRange): Promise<Uint8Array>;
  /**
   * Writes a file: durable when this resolves, absent when it rejects. Writing equal bytes again does nothing. Two
   * writers of one name at once must bring equal bytes. Chunks are borrowed until it settles.
   *
   * @throws CovaultError `E_EXISTS` if the name is taken by other bytes; `E_NO_SPACE`.
   */
  write(name: string, chunks: readonly Uint8Array[]): Promise<void>;
  /** Removes a file, durably; nothing happens if there is none. */
  remove(name: string): Promise<void>;
  /** Bytes of a file, or undefined if there is none. */
  size(name: string): Promise<number | undefined>;
  /** Bytes that can still be written, as far as is known. */
  freeBytes(): Promise<number>;
  /** Removes what writes left behind that were cut off by the death of their process, once that is certain. */
  removeLeftovers(): Promise<void>;
}

const nameCharsMax = 200;

/** @throws CovaultError `E_BAD_INPUT` if `name` is not one that a backend takes. */
export function checkBackendName(name: string): void {
  if (name.length > nameCharsMax || !/^[a-z0-9]+(\/[a-z0-9]+)*$/.test(name)) {
    throw new CovaultError('E_BAD_INPUT', `not a name of a file in a store: ${JSON.stringify(name)}`);
  }
}

/** @throws CovaultError `E_BAD_INPUT` if `prefix` is neither empty nor a folder's name with a final "/". */
export function checkBackendPrefix(prefix: string): void {
  if (prefix === '') return;
  if (!prefix.endsWith('/'))
    throw new CovaultError('E_BAD_INPUT', `not a folder of a store: ${JSON.stringify(prefix)}`);
  checkBackendName(prefix.slice(0, -1));
}
