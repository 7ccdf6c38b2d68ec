/**
 * Which files' contents are behind, and which of these have come to rest. The table `dirty` has every such file, so
 * that a restart finds them; which ranges are dirty is kept in memory and written down only by a clean stop.
 */
import type { Clock } from '../core/clock.ts';
import { inodeKey, inodeOfKey, packRanges, unpackRanges } from './layout.ts';
import { type Extent, joined, RangeSet } from './ranges.ts';
import type { Tables } from './tables.ts';

/** A file is hashed when nothing was written to it for so long, in milliseconds … */
const quietMs = 500;
/** … or when it has been dirty for so long. */
const unquietMsMax = 30_000;

interface Activity {
  firstMs: number;
  lastMs: number;
  /** Not before this time, whatever happens; 0 if there is no such time. */
  heldUntilMs: number;
}

export class DirtyFiles {
  readonly #tables: Tables;
  readonly #clock: Clock;
  readonly #unit: number;
  /** Ranges of the files that are not dirty as a whole. */
  readonly #ranges = new Map<bigint, RangeSet>();
  /** Files that changed a short while ago. */
  readonly #active = new Map<bigint, Activity>();
  #count: number;

  constructor(tables: Tables, clock: Clock, unit: number) {
    this.#tables = tables;
    this.#clock = clock;
    this.#unit = unit;
    this.#count = tables.dirty.count();
  }

  get count(): number {
    return this.#count;
  }

  has(inode: bigint): boolean {
    return this.#tables.dirty.has(inodeKey(inode));
  }

  /** An empty set of ranges that may be given to `mark`. */
  noRanges(): RangeSet {
    return new RangeSet(this.#unit);
  }

  /** What of the file is behind; only for one that is dirty. Not to be changed. */
  extentOf(inode: bigint): Extent {
    return this.#ranges.get(inode) ?? 'whole';
  }

  /** In a transaction: `extent`, which is kept, is behind. */
  mark(inode: bigint, extent: Extent): void {
    const key = inodeKey(inode);
    if (!this.#tables.dirty.has(key)) {
      this.#tables.dirty.put(key, packRanges(undefined));
      this.#count++;
      if (extent !== 'whole') this.#ranges.set(inode, extent);
      return;
    }
    const sum = joined(this.#ranges.get(inode) ?? 'whole', extent);
    if (sum === 'whole' || sum === undefined) this.#ranges.delete(inode);
  }

  /** In a transaction: nothing is behind any more, or only `later`. */
  settle(inode: bigint, later: Extent | undefined): void {
    this.#ranges.delete(inode);
    if (later === undefined) {
      this.#active.delete(inode);
      const key = inodeKey(inode);
      if (!this.#tables.dirty.has(key)) return;
      this.#tables.dirty.remove(key);
      this.#count--;
    } else if (later !== 'whole') {
      this.#ranges.set(inode, later);
    }
  }

  /** The file was written to just now. */
  touch(inode: bigint): void {
    const nowMs = this.#clock.monotonicMs();
    const activity = this.#active.get(inode);
    if (activity) activity.lastMs = nowMs;
    else this.#active.set(inode, { firstMs: nowMs, lastMs: nowMs, heldUntilMs: 0 });
  }

  /** The file shall not be hashed for so long unless it must. */
  hold(inode: bigint, ms: number): void {
    this.touch(inode);
    const activity = this.#active.get(inode);
    if (activity) activity.heldUntilMs = this.#clock.monotonicMs() + ms;
  }

  /** Ends a `hold`. */
  release(inode: bigint): void {
    const activity = this.#active.get(inode);
    if (activity) activity.heldUntilMs = 0;
  }

  /** Whether the file has come to rest, or has not for too long. */
  isAtRest(inode: bigint): boolean {
    const activity = this.#active.get(inode);
    if (!activity) return true;
    const nowMs = this.#clock.monotonicMs();
    if (nowMs < activity.heldUntilMs) return false;
    return nowMs - activity.lastMs >= quietMs || nowMs - activity.firstMs >= unquietMsMax;
  }

  /** Forgets the activity of files that are at rest; call now and then. */
  forgetResting(): void {
    for (const inode of this.#active.keys()) if (this.isAtRest(inode)) this.#active.delete(inode);
  }

  /** Up to `max` dirty files with inodes above `after`. */
  list(after: bigint, max: number): bigint[] {
    const start = inodeKey(after + 1n);
    return [...this.#tables.dirty.keys({ start, limit: max })].map(inodeOfKey);
  }

  /** In a transaction, at a clean stop: writes down the ranges. */
  saveRanges(): void {
    for (const [inode, set] of this.#ranges) this.#tables.dirty.put(inodeKey(inode), packRanges(set.offsets));
  }

  /**
   * In a transaction, at the start: takes the ranges over, or after an unclean stop forgets them, as others may have
   * been lost.
   */
  loadRanges(options: { areComplete: boolean }): void {
    for (const { key, value } of [...this.#tables.dirty.range({})]) {
      const offsets = unpackRanges(value);
      if (offsets === undefined) continue;
      if (options.areComplete) this.#ranges.set(inodeOfKey(key), RangeSet.from(this.#unit, offsets));
      this.#tables.dirty.put(key, packRanges(undefined));
    }
  }
}
