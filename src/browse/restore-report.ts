/** What a restore did and what it could not do, gathered while it runs. */
import { isCovaultError, systemErrorCode } from '../core/errors.ts';
import { type Place, pathOf } from './directory-handles.ts';

/** An entry that is not as it is in the snapshot. */
export interface RestoreException {
  /** Path within the snapshot, "/" between names; empty for its root. */
  path: Uint8Array;
  reason: string;
}

export interface RestoreResult {
  /** Entries that are there now as they are in the snapshot, the root not counted. */
  entries: number;
  /** Of those, regular files, counted by name. */
  files: number;
  /** Of `entries`, those that were there and right before. */
  alreadyThere: number;
  /** Bytes of content written, holes not counted. */
  bytesWritten: number;
  /** Bytes of blocks that were in the target already, each counted once for each batch of files. */
  bytesReused: number;
  /** The same for blocks read from the store; those that a fetcher brought are counted by it. */
  bytesFromStore: number;
  /** Entries that belong to the caller, because only root may give files away. */
  foreignOwners: number;
  /** The first thousand. */
  exceptions: RestoreException[];
  exceptionCount: number;
}

export interface RestoreProgress {
  entries: number;
  /** Bytes of files that are done, written or found; holes counted. */
  bytes: number;
}

const exceptionsListed = 1000;

export class RestoreReport {
  readonly result: RestoreResult = {
    entries: 0,
    files: 0,
    alreadyThere: 0,
    bytesWritten: 0,
    bytesReused: 0,
    bytesFromStore: 0,
    foreignOwners: 0,
    exceptions: [],
    exceptionCount: 0,
  };
  readonly #onProgress: (progress: RestoreProgress) => void;
  #bytesDone = 0;

  constructor(onProgress: ((progress: RestoreProgress) => void) | undefined) {
    this.#onProgress = onProgress ?? (() => undefined);
  }

  /** An entry is right: just made, or found. `sizeLeft`: bytes of it that were not told to `wrote`. */
  done(options: { isFile: boolean; wasThere: boolean; sizeLeft: number }): void {
    this.result.entries += 1;
    if (options.isFile) this.result.files += 1;
    if (options.wasThere) this.result.alreadyThere += 1;
    this.#advance(options.sizeLeft);
  }

  wrote(bytes: number): void {
    this.result.bytesWritten += bytes;
    this.#advance(bytes);
  }

  had(from: 'target' | 'store', bytes: number): void {
    this.result[from === 'target' ? 'bytesReused' : 'bytesFromStore'] += bytes;
  }

  exception(place: Place, reason: string): void {
    this.result.exceptionCount += 1;
    if (this.result.exceptions.length < exceptionsListed) {
      this.result.exceptions.push({ path: pathOf(place), reason });
    }
  }

  #advance(bytes: number): void {
    this.#bytesDone += bytes;
    this.#onProgress({ entries: this.result.entries, bytes: this.#bytesDone });
  }
}

/** Errors that would meet every other entry as well, and end the restore. */
const fatalSystemErrors = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EMFILE', 'ENFILE', 'ENOMEM']);

/**
 * The reason why one entry could not be restored, in words. An error that is not about this entry alone is thrown again.
 */
export function reasonOf(error: unknown): string {
  if (isCovaultError(error)) {
    if (error.code === 'E_INTERRUPTED' || error.code === 'E_REQUIREMENT' || error.code === 'E_NO_SPACE') throw error;
    return error.message;
  }
  const code = systemErrorCode(error);
  if (code === undefined || fatalSystemErrors.has(code)) throw error;
  return code;
}
