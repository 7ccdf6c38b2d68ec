/**
 * Has dirty files read and hashed by the workers, a bounded number at a time: which files, in which order, with what of
 * their old content may stand. What comes of it is put into the tables by `hash-results.ts`.
 */
import { isCovaultError } from '../core/errors.ts';
import { signedLengths } from './content.ts';
import { HashCommitter, type HashResult } from './hash-results.ts';
import { rowOf, segmentsOf } from './holdings.ts';
import type { InodeRow } from './layout.ts';
import { pathOf, placeOf } from './names.ts';
import type { Extent } from './ranges.ts';
import type { IndexState } from './state.ts';
import type { WorkerPool } from './worker-pool.ts';
import type { HashFile, HashOutcome } from './worker-protocol.ts';

/** Files and bytes given to a worker at once. */
const batchFilesMax = 64;
const batchBytes = 4 * 1024 * 1024;

/** Dirty files looked at in one go. */
const candidatesMax = 256;
/** … and how often in one turn of the loop. */
const batchesPerTurn = 4;

/** See `Hashing.watch`. */
export interface Watch {
  isOver(): boolean;
  end(): void;
}

export interface HashingOptions {
  state: IndexState;
  pool: WorkerPool;
  /** Called when there are results to be committed. */
  onResults(): void;
  /** What mutations that wait to be applied say of the file's content. */
  waitingExtent(inode: bigint): Extent | undefined;
}

export class Hashing {
  readonly #state: IndexState;
  readonly #pool: WorkerPool;
  readonly #options: HashingOptions;
  readonly #committer: HashCommitter;
  readonly #results: HashResult[] = [];
  /** Files that were given up for this time, so that leveling can end; see `beginUrgent`. */
  readonly #givenUp = new Set<bigint>();
  /** Files that changed while they were read, and until when they are left alone even if all is urgent. */
  readonly #pausedUntilMs = new Map<bigint, number>();
  /** Files that somebody waits for to be read once. */
  readonly #watches = new Set<Set<bigint>>();
  #cursor = -1n;
  /** No file has been due since the cursor was at the beginning. */
  #isFruitless = true;
  #goneCount = 0;

  constructor(options: HashingOptions) {
    this.#options = options;
    this.#state = options.state;
    this.#pool = options.pool;
    this.#committer = new HashCommitter({
      state: options.state,
      waitingExtent: options.waitingExtent,
      onArrived: (inode) => {
        for (const watch of this.#watches) watch.delete(inode);
      },
      onPaused: (inode, ms) => this.#pausedUntilMs.set(inode, this.#state.clock.monotonicMs() + ms),
      onGivenUp: (inode, isGone) => {
        this.#givenUp.add(inode);
        if (isGone) this.#goneCount++;
      },
    });
  }

  get hasResults(): boolean {
    return this.#results.length > 0;
  }

  /** Files given up since `beginUrgent` because their names led elsewhere. */
  get goneCount(): number {
    return this.#goneCount;
  }

  /** Waits from here on for these files to be read once, or given up, whatever becomes of them afterwards. */
  watch(files: Iterable<bigint>): Watch {
    const waiting = new Set(files);
    this.#watches.add(waiting);
    return {
      isOver: () => waiting.size === 0 || !this.hasUrgent,
      end: () => this.#watches.delete(waiting),
    };
  }

  /** From here on every dirty file is read that was not given up since. */
  beginUrgent(): void {
    this.#givenUp.clear();
    this.#goneCount = 0;
  }

  /** What is being read now comes to nothing, and is read again: another moment is meant from here on. */
  async beginMoment(): Promise<void> {
    if (this.hasResults) await this.commit();
    for (const flight of this.#state.flights.values()) flight.isVoid = true;
  }

  /** Whether there are dirty files that were not given up, or files being read. */
  get hasUrgent(): boolean {
    if (this.#state.flights.size > 0) return true;
    let after = -1n;
    for (;;) {
      const some = this.#state.dirty.list(after, candidatesMax);
      if (some.some((inode) => !this.#givenUp.has(inode))) return true;
      if (some.length < candidatesMax) return false;
      after = some.at(-1) as bigint;
    }
  }

  /**
   * Gives the workers files; `isUrgent`: also such as are not at rest.
   *
   * @returns whether it is worth while to call again at once: false when the workers have enough, or when all dirty files
   *   were looked at and none was due.
   */
  async dispatch({ isUrgent }: { isUrgent: boolean }): Promise<boolean> {
    for (let batches = 0; batches < batchesPerTurn; batches++) {
      if (this.#pool.room === 0) return false;
      const { files, isLap } = await this.#nextBatch(isUrgent);
      if (files.length > 0) {
        this.#send(files);
        this.#isFruitless = false;
      }
      if (!isLap) continue;
      if (this.#isFruitless) return false;
      this.#isFruitless = true;
    }
    return true;
  }

  /** Puts the results so far into the tables. */
  commit(): Promise<void> {
    return this.#committer.commit(this.#results.splice(0));
  }

  async #nextBatch(isUrgent: boolean): Promise<{ files: HashFile[]; isLap: boolean }> {
    const state = this.#state;
    const files: HashFile[] = [];
    let bytes = 0;
    const candidates = state.dirty.list(this.#cursor, candidatesMax);
    const isLap = candidates.length < candidatesMax;
    const nothing: bigint[] = [];
    for (const inode of candidates) {
      this.#cursor = inode;
      if (state.flights.has(inode) || !this.#isDue(inode, isUrgent)) continue;
      const row = rowOf(state, inode);
      if (row?.kind !== 'file') nothing.push(inode);
      const path = row?.kind === 'file' ? pathOf(state, inode) : undefined;
      if (!row || !path) {
        // Without a name it is an orphan, which is forgotten in its own time; one that leads nowhere may be found yet.
        this.#givenUp.add(inode);
        if (row?.kind === 'file' && placeOf(state, inode)) this.#goneCount++;
        for (const watch of this.#watches) watch.delete(inode);
        continue;
      }
      files.push({ inode, path, old: this.#oldContent(inode, row) });
      bytes += row.size;
      if (files.length >= batchFilesMax || bytes >= batchBytes) return { files, isLap: false };
    }
    if (isLap) this.#beginLap();
    if (nothing.length > 0) {
      await state.write(() => {
        for (const inode of nothing) {
          state.dirty.settle(inode, undefined);
          this.#givenUp.delete(inode);
        }
      });
    }
    return { files, isLap };
  }

  #isDue(inode: bigint, isUrgent: boolean): boolean {
    if (!isUrgent) return this.#state.dirty.isAtRest(inode);
    return !this.#givenUp.has(inode) && (this.#pausedUntilMs.get(inode) ?? 0) <= this.#state.clock.monotonicMs();
  }

  #beginLap(): void {
    this.#cursor = -1n;
    this.#state.dirty.forgetResting();
    const nowMs = this.#state.clock.monotonicMs();
    for (const [inode, untilMs] of this.#pausedUntilMs) if (untilMs <= nowMs) this.#pausedUntilMs.delete(inode);
    for (const watch of this.#watches) {
      for (const inode of watch) if (!this.#state.dirty.has(inode)) watch.delete(inode);
    }
  }

  #oldContent(inode: bigint, row: InodeRow): HashFile['old'] {
    const extent = this.#state.dirty.extentOf(inode);
    if (extent === 'whole' || row.content === undefined) return undefined;
    return { lengths: signedLengths(segmentsOf(this.#state, inode, row.content)), dirty: [...extent.offsets] };
  }

  #send(files: HashFile[]): void {
    const { epoch } = this.#state;
    const readAtNs = epoch?.timeNs ?? this.#state.nowNs();
    for (const { inode, old } of files) {
      const isWhole = old === undefined;
      this.#state.flights.set(inode, { readAtNs, isWhole, later: undefined, isLooked: false, isVoid: false });
    }
    const arrived = (outcomes: HashOutcome[]) => {
      for (const outcome of outcomes) this.#results.push({ outcome, readAtNs });
      this.#options.onResults();
    };
    this.#pool.run({ kind: 'hash', epoch: epoch?.id, files }).then(arrived, (error: unknown) => {
      // The thread broke down, or the index is closing: neither says anything of the files.
      const isEnd = isCovaultError(error, 'E_INTERRUPTED');
      arrived(
        files.map(({ inode }) => (isEnd ? { inode, kind: 'stopped' } : { inode, kind: 'failed', code: 'EAGAIN' })),
      );
    });
  }
}
