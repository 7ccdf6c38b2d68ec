/**
 * Which parts of a changed file are cut and hashed again, and which old segments stand: pure, no I/O.
 *
 * The segments of a file are a pure function of its content: runs of whole *units* of zeros are holes, and what is
 * between holes is cut into blocks, each run on its own. So a segment depends on nothing before it, and on what comes
 * after it only if it is the last before a hole or the end of the file. Therefore cutting may begin at a segment before
 * the first changed unit, and may stop at any old boundary behind the changed units: from there on everything is as it
 * was ("resynchronised"), until the next changed range.
 *
 * Lengths of segments are signed here: a block's is positive, a hole's negative.
 */
import { endOfFile } from './ranges.ts';

export interface OldContent {
  /** Signed lengths of all segments. */
  lengths: readonly number[];
  /** Start and end of each dirty range, alternating, as `RangeSet.offsets` gives them. */
  dirty: readonly number[];
}

/** Old segments that stand: `count` from number `first`; with `holeBytes` only so much of the last, which is a hole. */
export interface Kept {
  first: number;
  count: number;
  holeBytes?: number;
}

/** What to do at a boundary: keep old segments, then cut from `cutFrom` on; undefined: the file ends there. */
export interface Resumption {
  kept: Kept | undefined;
  cutFrom: number | undefined;
}

export class Recut {
  readonly #lengths: readonly number[];
  readonly #dirty: number[];
  readonly #unit: number;
  /** Offset of each segment, and at last the old size. */
  readonly #starts: Float64Array;
  readonly #newSize: number;
  /** The first dirty range that does not end before the last boundary asked about, as a position in `#dirty`. */
  #next = 0;

  constructor(old: OldContent, options: { unit: number; newSize: number }) {
    this.#unit = options.unit;
    this.#newSize = options.newSize;
    this.#lengths = old.lengths;
    this.#starts = new Float64Array(old.lengths.length + 1);
    old.lengths.forEach((length, number) => {
      this.#starts[number + 1] = (this.#starts[number] as number) + Math.abs(length);
    });
    this.#dirty = this.#withNewEnd([...old.dirty]);
  }

  /** What to do at the start of the file. */
  start(): Resumption {
    return this.#resume(0, 0);
  }

  /**
   * Whether cutting may stop at `position`, where a new segment has ended.
   *
   * @returns what follows, or undefined if cutting must go on. Positions of successive calls must grow.
   */
  resumeAt(position: number): Resumption | undefined {
    this.#passRangesBefore(position);
    const dirtyStart = this.#dirty[this.#next];
    if (dirtyStart !== undefined && dirtyStart < position) return undefined;
    const segment = this.#segmentAt(position);
    if (segment === this.#lengths.length || this.#starts[segment] !== position) return undefined;
    const resumption = this.#resume(segment, position);
    return resumption.cutFrom !== undefined && resumption.cutFrom <= position ? undefined : resumption;
  }

  /** Where the zeros end that are known to begin at `position`, without reading; `position` itself if none are known. */
  knownZeroEnd(position: number): number {
    const segment = this.#segmentAt(position);
    if (segment === this.#lengths.length || (this.#lengths[segment] as number) > 0) return position;
    this.#passRangesBefore(position);
    const end = Math.min(this.#starts[segment + 1] as number, this.#dirty[this.#next] ?? endOfFile);
    return Math.max(position, Math.min(end, this.#newSize));
  }

  /** A place behind `position` up to which reading is likely to be needed before cutting can stop. */
  likelyEnd(position: number): number {
    this.#passRangesBefore(position);
    const dirtyStart = this.#dirty[this.#next];
    const dirtyEnd = this.#dirty[this.#next + 1];
    const behind =
      dirtyStart !== undefined && dirtyEnd !== undefined && dirtyStart <= position ? dirtyEnd : position + 1;
    if (behind >= this.#newSize) return this.#newSize;
    const segment = this.#segmentAt(behind);
    const boundary = this.#starts[segment] === behind ? behind : (this.#starts[segment + 1] ?? this.#newSize);
    return Math.min(this.#newSize, Math.ceil(boundary / this.#unit) * this.#unit);
  }

  #passRangesBefore(position: number): void {
    while (this.#next < this.#dirty.length && (this.#dirty[this.#next + 1] as number) <= position) this.#next += 2;
  }

  /** From the boundary `position`, where segment `first` begins, to where cutting must begin again. */
  #resume(first: number, position: number): Resumption {
    const dirtyStart = this.#dirty[this.#next];
    if (dirtyStart === undefined) {
      const count = this.#lengths.length - first;
      return { kept: count === 0 ? undefined : { first, count }, cutFrom: undefined };
    }
    const cutFrom = this.#restartBefore(dirtyStart);
    if (cutFrom <= position) return { kept: undefined, cutFrom: position };
    const segment = this.#segmentAt(cutFrom);
    const holeBytes = cutFrom - (this.#starts[segment] as number);
    if (segment === this.#lengths.length || holeBytes === 0)
      return { kept: { first, count: segment - first }, cutFrom };
    return { kept: { first, count: segment - first + 1, holeBytes }, cutFrom };
  }

  /** Where cutting must begin so that a change at `offset` (a multiple of the unit) and behind it is accounted for. */
  #restartBefore(offset: number): number {
    const segment = this.#segmentAt(offset);
    const start = this.#starts[segment] as number;
    if (segment < this.#lengths.length) {
      if ((this.#lengths[segment] as number) > 0) return start;
      if (start < offset) return offset;
    }
    // A hole or the end of the file began here, which is why the block before it ended.
    const before = this.#lengths[segment - 1];
    return before === undefined || before < 0 ? offset : (this.#starts[segment - 1] as number);
  }

  /** Number of the segment that contains `offset`; the number of segments if it is at or behind the old end. */
  #segmentAt(offset: number): number {
    let low = 0;
    let high = this.#lengths.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#starts[middle + 1] as number) <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The ranges with everything from the nearer of the old and the new end, if these differ. */
  #withNewEnd(dirty: number[]): number[] {
    const oldSize = this.#starts[this.#lengths.length] as number;
    const changedFrom = Math.floor(Math.min(oldSize, this.#newSize) / this.#unit) * this.#unit;
    if (oldSize === this.#newSize) return clipped(dirty, this.#newSize);
    const before = clipped(dirty, changedFrom);
    const last = before[before.length - 1];
    if (last === changedFrom) before[before.length - 1] = endOfFile;
    else before.push(changedFrom, endOfFile);
    return before;
  }
}

/** The parts of the ranges that lie before `end`. */
function clipped(dirty: readonly number[], end: number): number[] {
  const inside: number[] = [];
  for (let at = 0; at + 1 < dirty.length; at += 2) {
    const start = dirty[at] as number;
    if (start < end) inside.push(start, Math.min(dirty[at + 1] as number, end));
  }
  return inside;
}
