/**
 * What a power cut may have taken. The index reaches the disk on its own, so it may know a file's new content, size and
 * times although the disk has the new size and times (of the file system's journal) and the old content. Therefore the
 * data directory's file system is flushed from time to time, and when that began is noted: what was changed before is
 * on the disk. After the machine was started anew, stamps of files that were changed later prove nothing.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { syncFileSystem } from '../fs/native.ts';
import type { IndexLoop } from './index-loop.ts';
import { metaKeys, readMeta, readText, removeMeta, writeMeta } from './meta.ts';
import type { IndexState } from './state.ts';
import type { Tables } from './tables.ts';

/** Milliseconds between two flushes while files change: about as often as the kernel flushes by itself. */
const intervalMs = 60_000;

/**
 * Notes that the machine was started anew since these tables were written, if it was.
 *
 * @param boot of the machine's present start. @param before that of the last run, if it left one.
 */
export async function noteStart(tables: Tables, boot: string, before: string | undefined): Promise<void> {
  const isAnew = (before ?? readText(tables, metaKeys.boot) ?? boot) !== boot;
  await tables.transaction(() => {
    writeMeta(tables, metaKeys.boot, boot);
    // One that is there already was not dealt with yet.
    if (isAnew && readMeta(tables, metaKeys.lostSince) === undefined) {
      writeMeta(tables, metaKeys.lostSince, readMeta(tables, metaKeys.durableAt) ?? 0n);
    }
  });
}

/** Every file was looked at, and those in doubt are noted to be hashed again. */
export async function endDoubtOfLoss(state: IndexState): Promise<void> {
  if (state.lostSinceNs === undefined) return;
  await state.write(() => removeMeta(state.tables, metaKeys.lostSince));
  state.lostSinceNs = undefined;
}

export class Durability {
  readonly #state: IndexState;
  readonly #loop: IndexLoop;
  readonly #directoryFd: number;
  readonly #timer: NodeJS.Timeout;
  #flushedFiles = 0;
  #flushing: Promise<void> | undefined;

  constructor(options: { state: IndexState; loop: IndexLoop; directoryFd: number }) {
    this.#state = options.state;
    this.#loop = options.loop;
    this.#directoryFd = options.directoryFd;
    this.#timer = setInterval(() => {
      // A file system that cannot be flushed says so to those who write to it.
      if (this.#state.counters.filesHashed !== this.#flushedFiles) this.flush().catch(() => undefined);
    }, intervalMs);
    this.#timer.unref();
  }

  /** Flushes the data directory's file system and notes it. @throws the system's error. */
  flush(): Promise<void> {
    this.#flushing ??= this.#flush().finally(() => {
      this.#flushing = undefined;
    });
    return this.#flushing;
  }

  /** Resolves when nothing is under way. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#flushing?.catch(() => undefined);
  }

  async #flush(): Promise<void> {
    const state = this.#state;
    const files = state.counters.filesHashed;
    const beganNs = state.nowNs();
    const fd = openSync(`/proc/self/fd/${this.#directoryFd}`, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await syncFileSystem(fd);
    } finally {
      closeSync(fd);
    }
    await this.#loop.run(() => state.write(() => writeMeta(state.tables, metaKeys.durableAt, beganNs)));
    this.#flushedFiles = files;
  }
}
