/**
 * What workers found, put into the tables: as the content if nothing changed while they read, or if what changed is
 * known and will be read again; otherwise the file stays dirty, to be read again later.
 */
import { assembled } from './content.ts';
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
import { markChanged, placeOf } from './names.ts';
import type { Extent } from './ranges.ts';
import { listLater } from './replay.ts';
import { stampOf } from './stamps.ts';
import type { Flight, IndexState } from './state.ts';
import type { FileTimes, HashOutcome } from './worker-protocol.ts';

/** Readings of a file that changes each time, before what was read is taken as its content. */
const attemptsMax = 3;

/** Files of which that is remembered. */
const attemptsKept = 100_000;

/** Milliseconds before a file is read again that changed, that was not where its name is, or that cannot be read. */
const changedPauseMs = 50;
const gonePauseMs = 300;
const unreadablePauseMs = 60_000;

/** The system's own shortages: no word on the file. */
const passingCodes = ['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN', 'EINTR', 'EBUSY'];

type ReadOutcome = Extract<HashOutcome, { kind: 'read' }>;

export interface HashResult {
  outcome: HashOutcome;
  /** Wall-clock time before the worker was told. */
  readAtNs: bigint;
}

interface Prepared {
  update: ContentUpdate;
  row: InodeRow;
  /** What is dirty afterwards. */
  later: Extent | undefined;
}

export interface CommitterOptions {
  state: IndexState;
  /** What mutations that wait to be applied say of the file's content. */
  waitingExtent(inode: bigint): Extent | undefined;
  /** A result for the file has arrived, whatever it is. */
  onArrived(inode: bigint): void;
  /** The file shall not be read again for so long, even if all is urgent. */
  onPaused(inode: bigint, ms: number): void;
  /** There is no use in reading the file again for now; `isGone`: because its name leads elsewhere. */
  onGivenUp(inode: bigint, isGone: boolean): void;
}

export class HashCommitter {
  readonly #state: IndexState;
  readonly #options: CommitterOptions;
  /** Readings in a row that came to nothing. */
  readonly #attempts = new Map<bigint, number>();

  constructor(options: CommitterOptions) {
    this.#state = options.state;
    this.#options = options;
  }

  /** Puts results into the tables, small ones together. */
  async commit(results: readonly HashResult[]): Promise<void> {
    if (this.#attempts.size > attemptsKept) this.#attempts.clear();
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

  /** What of a result is to be put into the tables; nothing if the file must be read again. */
  async #accept({ outcome, readAtNs }: HashResult): Promise<Prepared | undefined> {
    const { inode } = outcome;
    const flight = this.#state.flights.get(inode);
    this.#state.flights.delete(inode);
    this.#options.onArrived(inode);
    if (outcome.kind === 'read') {
      this.#state.counters.bytesHashed += outcome.bytesHashed;
      this.#state.counters.filesHashed++;
    }
    const row = rowOf(this.#state, inode);
    if (!flight || row?.kind !== 'file') return undefined;
    const back = () => this.#state.write(() => flight.later && this.#state.dirty.mark(inode, flight.later));
    if (flight.isVoid) {
      await back();
      return undefined;
    }
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
        this.#options.onGivenUp(inode, false);
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
        this.#options.onGivenUp(inode, false);
        state.unsettled.add(inode);
      }
      later ??= this.#options.waitingExtent(inode);
      state.dirty.hold(inode, changedPauseMs);
      this.#options.onPaused(inode, changedPauseMs);
      if (later === undefined && attempts < attemptsMax) return undefined;
      later ??= state.dirty.extentOf(inode);
    }
    const recipe = assembled(outcome.pieces, segmentsOf(state, inode, row.content));
    return {
      update: contentUpdate(state, inode, row, recipe),
      later,
      row: nextRow(row, { flight, after, isSettled, readAtNs }),
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
    if (update.content) state.unreadable.delete(inode);
    if (update.content && row.stamp?.ctimeNs !== row.ctimeNs) state.drifted.set(inode, ++state.lookSerial);
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
    this.#options.onGivenUp(inode, true);
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
  how: { flight: Flight; after: FileTimes; isSettled: boolean; readAtNs: bigint },
): InodeRow {
  const { flight, after } = how;
  const times = flight.isLooked ? {} : { size: after.size, mtimeNs: after.mtimeNs, ctimeNs: after.ctimeNs };
  // Only who has read all of a file can vouch for it; a barrier does for the rest.
  const isVouched = how.isSettled && flight.isWhole;
  return { ...row, ...times, stamp: isVouched ? stampOf(after, how.readAtNs) : undefined };
}

function sameTimes(a: FileTimes, b: FileTimes): boolean {
  return a.size === b.size && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs;
}
