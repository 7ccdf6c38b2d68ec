/**
 * Has dirty files read and hashed by the workers, a bounded number at a time, and puts what they found into the tables.
 * Workers see the live file: what they read is put down as the content if nothing changed meanwhile, or if what changed
 * is known and read again; otherwise the file is read again later.
 */
import { isCovaultError } from '../core/errors.ts';
import type { Recipe } from '../core/recipe.ts';
import { assembled, signedLengths } from './content.ts';
import {
  applyLargeUpdate,
  applyUpdate,
  type ContentUpdate,
  changeCount,
  changesPerTransaction,
  contentUpdate,
  putRow,
  rowOf,
  segmentsOf,
} from './holdings.ts';
import type { InodeRow } from './layout.ts';
import { markChanged, pathOf, placeOf } from './names.ts';
import type { Extent } from './ranges.ts';
import { listLater } from './replay.ts';
import { stampOf } from './stamps.ts';
import type { Flight, IndexState } from './state.ts';
import type { WorkerPool } from './worker-pool.ts';
import type { FileTimes, HashFile, HashOutcome } from './worker-protocol.ts';

/** Files and bytes given to a worker at once. */
const batchFilesMax = 64;
const batchBytes = 4 * 1024 * 1024;

/** Dirty files looked at in one go. */
const candidatesMax = 256;
/** … and how often in one turn of the loop. */
const batchesPerTurn = 4;

/** Readings of a file that changes each time, before what was read is taken as its content. */
const attemptsMax = 3;

/** Milliseconds before a file is read again that changed, that was not where its name is, or that cannot be read. */
const changedPauseMs = 50;
const gonePauseMs = 300;
const unreadablePauseMs = 60_000;

/** The system's own shortages: no word on the file. */
const passingCodes = ['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN', 'EINTR', 'EBUSY'];

type ReadOutcome = Extract<HashOutcome, { kind: 'read' }>;

interface Result {
  outcome: HashOutcome;
  readAtNs: bigint;
}

interface Prepared {
  update: ContentUpdate;
  row: InodeRow;
  /** What is dirty afterwards. */
  later: Extent | undefined;
}

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
  readonly #results: Result[] = [];
  /** Files that were given up for this time, so that leveling can end; see `beginUrgent`. */
  readonly #givenUp = new Set<bigint>();
  readonly #attempts = new Map<bigint, number>();
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
  async commit(): Promise<void> {
    const results = this.#results.splice(0);
    let small: Prepared[] = [];
    let changes = 0;
    const flush = async () => {
      if (small.length === 0) return;
      await this.#state.write(() => {
        for (const each of small) this.#put(each, () => applyUpdate(this.#state, each.update));
      });
      small = [];
      changes = 0;
    };
    for (const result of results) {
      const prepared = await this.#accept(result);
      if (!prepared) continue;
      const count = changeCount(prepared.update) + 2;
      if (count > changesPerTransaction) {
        await applyLargeUpdate(this.#state, prepared.update, () => this.#put(prepared, () => undefined));
        continue;
      }
      if (changes + count > changesPerTransaction) await flush();
      small.push(prepared);
      changes += count;
    }
    await flush();
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
        // Without a name it is an orphan, which is forgotten in its own time.
        this.#givenUp.add(inode);
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
    const readAtNs = this.#state.nowNs();
    for (const { inode } of files) {
      this.#state.flights.set(inode, { readAtNs, later: undefined, isLooked: false, isVoid: false });
    }
    const arrived = (outcomes: HashOutcome[]) => {
      for (const outcome of outcomes) this.#results.push({ outcome, readAtNs });
      this.#options.onResults();
    };
    this.#pool.run({ kind: 'hash', files }).then(arrived, (error: unknown) => {
      // The thread broke down, or the index is closing: neither says anything of the files.
      const isEnd = isCovaultError(error, 'E_INTERRUPTED');
      arrived(
        files.map(({ inode }) => (isEnd ? { inode, kind: 'stopped' } : { inode, kind: 'failed', code: 'EAGAIN' })),
      );
    });
  }

  /** What of a result is to be put into the tables; nothing if the file must be read again. */
  async #accept({ outcome, readAtNs }: Result): Promise<Prepared | undefined> {
    const { inode } = outcome;
    const flight = this.#state.flights.get(inode);
    this.#state.flights.delete(inode);
    for (const watch of this.#watches) watch.delete(inode);
    if (outcome.kind === 'read') {
      this.#state.counters.bytesHashed += outcome.bytesHashed;
      this.#state.counters.filesHashed++;
    }
    const row = rowOf(this.#state, inode);
    if (!flight || flight.isVoid || row?.kind !== 'file') return undefined;
    const back = () => this.#state.write(() => flight.later && this.#state.dirty.mark(inode, flight.later));
    switch (outcome.kind) {
      case 'read': {
        const prepared = this.#prepare(outcome, { flight, row, readAtNs });
        if (!prepared) await back();
        return prepared;
      }
      case 'gone':
        await back();
        this.#gone(inode);
        return undefined;
      case 'stopped':
        await back();
        return undefined;
      case 'failed':
        await back();
        this.#givenUp.add(inode);
        this.#state.dirty.hold(inode, unreadablePauseMs);
        this.#state.unreadable.set(inode, outcome.code);
        if (passingCodes.includes(outcome.code)) return undefined;
        return {
          update: contentUpdate(this.#state, inode, row, undefined),
          row: { ...row, content: undefined, stamp: undefined },
          later: 'whole',
        };
    }
  }

  #prepare(
    outcome: ReadOutcome,
    { flight, row, readAtNs }: { flight: Flight; row: InodeRow; readAtNs: bigint },
  ): Prepared | undefined {
    const { inode, before, after } = outcome;
    const state = this.#state;
    const isSettled = sameTimes(before, after) && outcome.size === after.size;
    let later = flight.later;
    if (isSettled) {
      this.#attempts.delete(inode);
      state.unsettled.delete(inode);
    } else {
      const attempts = (this.#attempts.get(inode) ?? 0) + 1;
      this.#attempts.set(inode, attempts);
      if (attempts >= attemptsMax) {
        this.#attempts.delete(inode);
        this.#givenUp.add(inode);
        state.unsettled.add(inode);
      }
      later ??= this.#options.waitingExtent(inode);
      state.dirty.hold(inode, changedPauseMs);
      this.#pausedUntilMs.set(inode, state.clock.monotonicMs() + changedPauseMs);
      if (later === undefined && attempts < attemptsMax) return undefined;
      later ??= state.dirty.extentOf(inode);
    }
    const recipe = assembled(outcome.pieces, segmentsOf(state, inode, row.content));
    return {
      update: contentUpdate(state, inode, row, recipe),
      later,
      row: nextRow(row, { recipe, flight, after, isSettled, readAtNs }),
    };
  }

  /** In a transaction. */
  #put({ update, row, later }: Prepared, change: () => void): void {
    const state = this.#state;
    const { inode } = update;
    const before = rowOf(state, inode);
    change();
    putRow(state, inode, { ...row, content: update.content });
    state.dirty.settle(inode, later);
    if (row.stamp) state.unreadable.delete(inode);
    if (row.stamp && row.stamp.ctimeNs !== row.ctimeNs) state.drifted.set(inode, state.lookSerial);
    const isOther = changeCount(update) > 0 || before?.content?.size !== update.content?.size;
    if (
      isOther ||
      before?.mtimeNs !== row.mtimeNs ||
      (before.content === undefined) !== (update.content === undefined)
    ) {
      markChanged(state, inode);
    }
  }

  #gone(inode: bigint): void {
    this.#givenUp.add(inode);
    this.#goneCount++;
    this.#state.unsettled.add(inode);
    this.#state.dirty.hold(inode, gonePauseMs);
    const attempts = (this.#attempts.get(inode) ?? 0) + 1;
    this.#attempts.set(inode, attempts);
    if (attempts < attemptsMax) return;
    // No mutation came that says where it went: the index has missed something.
    this.#attempts.delete(inode);
    const place = placeOf(this.#state, inode);
    if (place) listLater(this.#state, place.parent, false);
  }
}

function nextRow(
  row: InodeRow,
  how: { recipe: Recipe; flight: Flight; after: FileTimes; isSettled: boolean; readAtNs: bigint },
): InodeRow {
  const { flight, after } = how;
  const times = flight.isLooked ? {} : { size: after.size, mtimeNs: after.mtimeNs, ctimeNs: after.ctimeNs };
  return { ...row, ...times, stamp: how.isSettled ? stampOf(after, how.readAtNs) : undefined };
}

function sameTimes(a: FileTimes, b: FileTimes): boolean {
  return a.size === b.size && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs;
}
