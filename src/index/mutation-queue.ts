/** Mutations that wait to be applied, with markers between them. Bounded: beyond a limit it becomes "anything changed". */
import type { Mutation } from '../core/mutation.ts';
import { type PackedMutations, packMutations, unpackMutations } from './packed-mutations.ts';
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

/** Only the first part and the last are not packed. */
type Part = { mutations: Mutation[] } | { packed: PackedMutations } | { marker: Marker };

/** Mutations kept. */
const mutationsMax = 500_000;

/** Mutations of a part; as objects each takes about 400 bytes, packed 60. */
const mutationsPerPart = 512;

export class MutationQueue {
  readonly #root: bigint;
  readonly #limit: number;
  #parts: Part[] = [];
  /** Mutations of the first part that are taken. */
  #taken = 0;
  #length = 0;
  /** Markers whose place in the order the engine will tell, by the number of their cut. */
  readonly #expected = new Map<bigint, Marker>();

  /** @param root the data directory's inode. */
  constructor(root: bigint, limit = mutationsMax) {
    this.#root = root;
    this.#limit = limit;
  }

  /** Mutations and markers that wait. */
  get length(): number {
    return this.#length;
  }

  push(batch: readonly Mutation[]): void {
    for (const mutation of batch) this.#openPart().push(mutation);
    this.#length += batch.length;
    if (this.length > this.#limit) this.#degrade();
  }

  pushMarker(marker: Marker): void {
    this.#packLast();
    this.#parts.push({ marker });
    this.#length++;
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
    const part = this.#parts[0];
    return part && 'marker' in part ? part.marker : undefined;
  }

  get hasMarker(): boolean {
    return this.#expected.size > 0 || this.#markers().length > 0;
  }

  removeMarker(marker: Marker): void {
    this.#dropMarkers((each) => each === marker);
    for (const [number, each] of this.#expected) if (each === marker) this.#expected.delete(number);
  }

  /** Takes all markers out. */
  takeMarkers(): Marker[] {
    const markers = [...this.#markers(), ...this.#expected.values()];
    this.#expected.clear();
    this.#dropMarkers(() => true);
    return markers;
  }

  /** Takes up to `max` mutations, none from behind a marker. */
  take(max: number): Mutation[] {
    const taken: Mutation[] = [];
    while (taken.length < max) {
      const part = this.#parts[0];
      if (!part || 'marker' in part) break;
      const mutations = 'packed' in part ? unpackMutations(part.packed) : part.mutations;
      const some = mutations.slice(this.#taken, this.#taken + max - taken.length);
      for (const mutation of some) taken.push(mutation);
      this.#taken += some.length;
      if (this.#taken < mutations.length) {
        this.#parts[0] = { mutations };
      } else {
        this.#parts.shift();
        this.#taken = 0;
      }
    }
    this.#length -= taken.length;
    return taken;
  }

  /** What waiting mutations say of a file's content, in ranges of whole `unit`s; undefined: nothing. */
  extentOf(inode: bigint, unit: number): Extent | undefined {
    let extent: Extent | undefined;
    for (const [number, part] of this.#parts.entries()) {
      if ('marker' in part || ('packed' in part && !part.packed.inodes.includes(inode))) continue;
      const mutations = 'packed' in part ? unpackMutations(part.packed) : part.mutations;
      for (const mutation of number === 0 ? mutations.slice(this.#taken) : mutations)
        if (mutation.inode === inode) extent = joined(extent, contentExtent(mutation, unit));
    }
    return extent;
  }

  #markers(): Marker[] {
    return this.#parts.flatMap((part) => ('marker' in part ? [part.marker] : []));
  }

  #dropMarkers(isDropped: (marker: Marker) => boolean): void {
    const before = this.#parts.length;
    this.#parts = this.#parts.filter((part) => !('marker' in part && isDropped(part.marker)));
    this.#length -= before - this.#parts.length;
  }

  /** What takes the next mutation. */
  #openPart(): Mutation[] {
    const last = this.#parts.at(-1);
    if (last && 'mutations' in last && last.mutations.length < mutationsPerPart) return last.mutations;
    this.#packLast();
    const mutations: Mutation[] = [];
    this.#parts.push({ mutations });
    return mutations;
  }

  /** The first part is to be taken soon. */
  #packLast(): void {
    const last = this.#parts.at(-1);
    if (last && 'mutations' in last && this.#parts.length > 1)
      this.#parts[this.#parts.length - 1] = { packed: packMutations(last.mutations) };
  }

  /** Between two markers, and before and behind them all, one mutation stands for all that there were. */
  #degrade(): void {
    const degraded: Part[] = [];
    let isTold = false;
    for (const part of this.#parts) {
      const isMarker = 'marker' in part;
      if (isMarker || !isTold) degraded.push(isMarker ? part : { mutations: [{ kind: 'subtree', inode: this.#root }] });
      isTold = !isMarker;
    }
    this.#parts = degraded;
    this.#length = degraded.length;
    this.#taken = 0;
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
