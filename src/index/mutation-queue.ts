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

  /** The marker before which nothing waits any more. */
  get firstMarker(): Marker | undefined {
    const item = this.#items[this.#head];
    return item && 'marker' in item ? item.marker : undefined;
  }

  get hasMarker(): boolean {
    return this.#markers().length > 0;
  }

  removeMarker(marker: Marker): void {
    this.#compact();
    this.#items = this.#items.filter((item) => !('marker' in item) || item.marker !== marker);
  }

  /** Takes all markers out. */
  takeMarkers(): Marker[] {
    const markers = this.#markers();
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

  #degrade(): void {
    const markers = this.#markers();
    this.#head = 0;
    this.#items = [{ mutation: { kind: 'subtree', inode: this.#root } }, ...markers.map((marker) => ({ marker }))];
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
