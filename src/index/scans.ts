/** Scans of the whole data directory: begun, joined, interrupted, reported. */
import { CovaultError } from '../core/errors.ts';
import { endDoubtOfLoss } from './durability.ts';
import type { IndexLoop } from './index-loop.ts';
import { metaKeys, writeCount } from './meta.ts';
import type { FoundIndex } from './open-tables.ts';
import { doubt } from './replay.ts';
import type { Scanner } from './scanner.ts';
import type { IndexState } from './state.ts';
import { findUnreachable } from './unreachable.ts';

export interface ScanProgress {
  directories: number;
  /** Regular files, counted by name. */
  files: number;
  /** Bytes of these. */
  bytes: number;
  /** Directories known to be still to list. */
  directoriesWaiting: number;
  /** Files found to be hashed, and how many still are. */
  filesChanged: number;
  filesDirty: number;
  /** Bytes hashed since the index was opened. */
  bytesHashed: number;
}

export interface ScanReport {
  /** How the index was found when it was opened. */
  found: FoundIndex;
  directories: number;
  files: number;
  bytes: number;
  /** Files that were new or not as the index had them, and must be hashed. */
  filesChanged: number;
  /** Inodes that nothing led to any more. */
  unreachable: number;
  seconds: number;
}

export interface ScanOptions {
  signal?: AbortSignal;
  /** Called between pieces of work, at most some ten times a second. */
  onProgress?: (progress: ScanProgress) => void;
}

const progressMs = 100;

interface Running {
  promise: Promise<ScanReport>;
  resolve(report: ScanReport): void;
  reject(error: unknown): void;
  startMs: number;
  changedBefore: number;
  isFinishing: boolean;
}

export class Scans {
  readonly #state: IndexState;
  readonly #scanner: Scanner;
  readonly #found: FoundIndex;
  readonly #onLevel: () => Promise<void>;
  readonly #watchers = new Set<(progress: ScanProgress) => void>();
  #running: Running | undefined;
  #toldMs = 0;
  #last: ScanReport | undefined;
  #isDone = false;
  #isClosed = false;

  /** @param options.onLevel is called when a scan is over. */
  constructor(options: { state: IndexState; scanner: Scanner; found: FoundIndex; onLevel(): Promise<void> }) {
    this.#state = options.state;
    this.#scanner = options.scanner;
    this.#found = options.found;
    this.#onLevel = options.onLevel;
  }

  /** Whether the whole directory was walked since the index was opened, and since a scan was interrupted. */
  get isDone(): boolean {
    return this.#isDone;
  }

  get last(): ScanReport | undefined {
    return this.#last;
  }

  async ensure(loop: IndexLoop, signal: AbortSignal | undefined): Promise<void> {
    if (!this.isDone) await this.scan(loop, signal ? { signal } : {});
  }

  async scan(loop: IndexLoop, { signal, onProgress }: ScanOptions): Promise<ScanReport> {
    if (signal?.aborted || this.#isClosed) throw interrupted();
    loop.checkRunning();
    const running = this.#running ?? this.#begin(loop);
    if (onProgress) this.#watchers.add(onProgress);
    const onAbort = () => this.#abandon();
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      return await running.promise;
    } finally {
      signal?.removeEventListener('abort', onAbort);
      if (onProgress) this.#watchers.delete(onProgress);
    }
  }

  /** Called after each turn of the loop. */
  onTurn(loop: IndexLoop): void {
    const running = this.#running;
    if (!running || running.isFinishing) return;
    if (loop.failure !== undefined) {
      this.#running = undefined;
      running.reject(loop.failure);
      return;
    }
    this.#tell();
    if (this.#scanner.waiting > 0 || this.#scanner.takeUp()) return;
    running.isFinishing = true;
    loop
      .run(() => this.#finish(running))
      .catch((error: unknown) => {
        this.#running = undefined;
        running.reject(error);
      });
  }

  close(): void {
    this.#isClosed = true;
    this.#abandon();
  }

  #begin(loop: IndexLoop): Running {
    const { promise, resolve, reject } = Promise.withResolvers<ScanReport>();
    // Whoever waits hears of a failure; if nobody does, it is no unhandled one.
    promise.catch(() => undefined);
    const running: Running = {
      promise,
      resolve,
      reject,
      startMs: this.#state.clock.monotonicMs(),
      changedBefore: this.#state.counters.filesFoundChanged,
      isFinishing: false,
    };
    Object.assign(this.#scanner.counts, { directories: 0, files: 0, bytes: 0 });
    this.#running = running;
    doubt(this.#state, this.#state.root, true);
    loop.wake();
    return running;
  }

  async #finish(running: Running): Promise<void> {
    const pause = () => new Promise<void>((resolve) => setImmediate(resolve));
    const unreachable = await findUnreachable(this.#state, pause);
    await this.#state.write(() => writeCount(this.#state.tables, metaKeys.scanned, 1));
    await endDoubtOfLoss(this.#state);
    await this.#onLevel();
    if (this.#running !== running) return;
    this.#running = undefined;
    this.#isDone = true;
    const { directories, files, bytes } = this.#scanner.counts;
    this.#last = {
      found: this.#found,
      directories,
      files,
      bytes,
      filesChanged: this.#state.counters.filesFoundChanged - running.changedBefore,
      unreachable,
      seconds: (this.#state.clock.monotonicMs() - running.startMs) / 1000,
    };
    running.resolve(this.#last);
  }

  #abandon(): void {
    const running = this.#running;
    if (!running) return;
    this.#running = undefined;
    // What mutations wanted to have listed is given up with it.
    this.#isDone = false;
    this.#scanner.abandon();
    running.reject(interrupted());
  }

  #tell(): void {
    const nowMs = this.#state.clock.monotonicMs();
    if (this.#watchers.size === 0 || nowMs - this.#toldMs < progressMs) return;
    this.#toldMs = nowMs;
    const { directories, files, bytes } = this.#scanner.counts;
    const progress: ScanProgress = {
      directories,
      files,
      bytes,
      directoriesWaiting: this.#scanner.waiting,
      filesChanged: this.#state.counters.filesFoundChanged - (this.#running?.changedBefore ?? 0),
      filesDirty: this.#state.dirty.count,
      bytesHashed: this.#state.counters.bytesHashed,
    };
    for (const watcher of this.#watchers) watcher(progress);
  }
}

function interrupted(): CovaultError {
  return new CovaultError('E_INTERRUPTED', 'the scan was interrupted', { hint: 'run it again; it goes on' });
}
