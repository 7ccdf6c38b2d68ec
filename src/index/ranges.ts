/** Sets of byte ranges of one file: what was written since the content was last read. */

/** Beyond any file: the end of a range that reaches to the end of the file, wherever that is. */
export const endOfFile = Number.MAX_SAFE_INTEGER;

/** Ranges kept apart before near ones are joined; each costs 16 bytes. */
const rangesMax = 65_536;

/**
 * Disjoint ranges in ascending order, each widened to whole units. Joining ranges that touch or, when there are too
 * many, that are near: what is in the set is at least what was added.
 */
export class RangeSet {
  readonly #unit: number;
  /** Start and end of each range, alternating. */
  #offsets: number[] = [];

  /** @param unit bytes; ranges begin and end at multiples of it. */
  constructor(unit: number) {
    this.#unit = unit;
  }

  static from(unit: number, offsets: readonly number[]): RangeSet {
    const set = new RangeSet(unit);
    for (let at = 0; at + 1 < offsets.length; at += 2) set.add(offsets[at] as number, offsets[at + 1] as number);
    return set;
  }

  get isEmpty(): boolean {
    return this.#offsets.length === 0;
  }

  /** Start and end of each range, alternating; not to be changed. */
  get offsets(): readonly number[] {
    return this.#offsets;
  }

  /** Adds `start` to `end` (not in it); nothing if that is empty. */
  add(start: number, end: number): void {
    if (end <= start) return;
    const from = Math.floor(start / this.#unit) * this.#unit;
    const to = end >= endOfFile - this.#unit ? endOfFile : Math.ceil(end / this.#unit) * this.#unit;
    // Of the ranges that touch, the first and the one after the last.
    const first = this.#firstEndingAtOrAfter(from);
    let after = first;
    let low = from;
    let high = to;
    while (after < this.#offsets.length && (this.#offsets[after] as number) <= to) {
      low = Math.min(low, this.#offsets[after] as number);
      high = Math.max(high, this.#offsets[after + 1] as number);
      after += 2;
    }
    this.#offsets.splice(first, after - first, low, high);
    if (this.#offsets.length > 2 * rangesMax) this.#coarsen();
  }

  addAll(other: RangeSet): void {
    const offsets = other.#offsets;
    for (let at = 0; at < offsets.length; at += 2) this.add(offsets[at] as number, offsets[at + 1] as number);
  }

  /** Position in `#offsets` of the first range whose end is at or after `offset`. */
  #firstEndingAtOrAfter(offset: number): number {
    let low = 0;
    let high = this.#offsets.length / 2;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#offsets[middle * 2 + 1] as number) < offset) low = middle + 1;
      else high = middle;
    }
    return low * 2;
  }

  /** Halves the number of ranges by joining every second one with the next. */
  #coarsen(): void {
    const joined: number[] = [];
    for (let at = 0; at < this.#offsets.length; at += 4) {
      joined.push(this.#offsets[at] as number, this.#offsets[Math.min(at + 3, this.#offsets.length - 1)] as number);
    }
    this.#offsets = joined;
  }
}

/** What of a file is behind: ranges, or the whole. */
export type Extent = RangeSet | 'whole';

/** Both together; may change and return `a`. */
export function joined(a: Extent | undefined, b: Extent | undefined): Extent | undefined {
  if (a === undefined) return b;
  if (b === undefined) return a;
  if (a === 'whole' || b === 'whole') return 'whole';
  a.addAll(b);
  return a;
}
