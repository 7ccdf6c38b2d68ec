/** Mutations that wait to be applied, with markers between them. Bounded: beyond a limit it becomes "anything changed". */
import type { Mutation } from '../core/mutation.ts';
import { type Extent, endOfFile, joined, RangeSet } from './ranges.ts';

/** Somebody waits until everything before it is in the index. */
export interface Marker {
  /**
   * Called by the loop when all before the marker is in. `missing`: what had to be left because it had moved on
   * meanwhile, as mutations behind the marker will tell: contents of files, or names.
   */
  reached(missing: 'nothing' | 'contents' | 'names'): void;
  failed(error: unknown): void;
  /** Kept by the loop. */
  hasBegun: boolean;
  hasRetried: boolean;
  /** How often what is missing was looked for again. */
  searches: number;
}

type Item = { mutation: Mutation } | { marker: Marker };

/** Mutations kept; each takes about 200 bytes. */
const mutationsMax = 500_000;

export class MutationQueue {
  readonly #root: bigint;
  readonly #limit: number;
  #items: Item[] = [];
  /** Items before this position are taken. */
  #head = 0;
  /** Markers whose place in the order the engine will tell, by the number of their cut. */
  readonly #expected = new Map<bigint, Marker>();

  /** @param root the data directory's inode. */
  constructor(root: bigint, limit = mutationsMax) {
    this.#root = root;
    this.#limit = limit;
  }

  /** Mutations and markers that wait. */
  get length(): number {
    return this.#items.length - this.#head;
  }

  push(batch: readonly Mutation[]): void {
    for (const mutation of batch) this.#items.push({ mutation });
    if (this.length > this.#limit) this.#degrade();
  }

  pushMarker(marker: Marker): void {
    this.#items.push({ marker });
  }

  /** The marker comes where the engine says that the cut was made. */
  expectMarker(number: bigint, marker: Marker): void {
    this.#expected.set(number, marker);
  }

  /** Takes back what `expectMarker` said, if the cut has not come. */
  takeExpected(number: bigint): Marker | undefined {
    const marker = this.#expected.get(number);
    this.#expected.delete(number);
    return marker;
  }

  /** The engine made a cut here. */
  pushCut(number: bigint): void {
    const marker = this.#expected.get(number);
    if (!marker) return;
    this.#expected.delete(number);
    this.pushMarker(marker);
  }

  /** The marker before which nothing waits any more. */
  get firstMarker(): Marker | undefined {
    const item = this.#items[this.#head];
    return item && 'marker' in item ? item.marker : undefined;
  }

  get hasMarker(): boolean {
    return this.#expected.size > 0 || this.#markers().length > 0;
  }

  removeMarker(marker: Marker): void {
    this.#compact();
    this.#items = this.#items.filter((item) => !('marker' in item) || item.marker !== marker);
    for (const [number, each] of this.#expected) if (each === marker) this.#expected.delete(number);
  }

  /** Takes all markers out. */
  takeMarkers(): Marker[] {
    const markers = [...this.#markers(), ...this.#expected.values()];
    this.#expected.clear();
    this.#compact();
    this.#items = this.#items.filter((item) => !('marker' in item));
    return markers;
  }

  /** Takes up to `max` mutations, none from behind a marker. */
  take(max: number): Mutation[] {
    const taken: Mutation[] = [];
    while (taken.length < max) {
      const item = this.#items[this.#head];
      if (!item || 'marker' in item) break;
      taken.push(item.mutation);
      this.#head++;
    }
    if (this.#head > 4096 && this.#head * 2 > this.#items.length) this.#compact();
    return taken;
  }

  /** What waiting mutations say of a file's content, in ranges of whole `unit`s; undefined: nothing. */
  extentOf(inode: bigint, unit: number): Extent | undefined {
    let extent: Extent | undefined;
    for (let at = this.#head; at < this.#items.length; at++) {
      const item = this.#items[at] as Item;
      if ('marker' in item || item.mutation.inode !== inode) continue;
      extent = joined(extent, contentExtent(item.mutation, unit));
    }
    return extent;
  }

  #markers(): Marker[] {
    return this.#items.slice(this.#head).flatMap((item) => ('marker' in item ? [item.marker] : []));
  }

  /** Between two markers, and before and behind them all, one mutation stands for all that there were. */
  #degrade(): void {
    const degraded: Item[] = [];
    let isTold = false;
    for (const item of this.#items.slice(this.#head)) {
      if ('marker' in item || !isTold) {
        degraded.push('marker' in item ? item : { mutation: { kind: 'subtree', inode: this.#root } });
      }
      isTold = !('marker' in item);
    }
    this.#head = 0;
    this.#items = degraded;
  }

  #compact(): void {
    this.#items = this.#items.slice(this.#head);
    this.#head = 0;
  }
}

function contentExtent(mutation: Mutation, unit: number): Extent | undefined {
  switch (mutation.kind) {
    case 'content':
      return RangeSet.from(unit, [mutation.offset, mutation.offset + mutation.length]);
    case 'truncate':
      return RangeSet.from(unit, [mutation.size, endOfFile]);
    case 'create':
    case 'inode':
      return 'whole';
    default:
      return undefined;
  }
}
