/**
 * What one peer is still to be asked for: planned groups in order, before them blocks that another peer failed to
 * send. Work is taken from the front by the peer itself and from the back by others. Every block that waits is in
 * exactly one queue.
 */
import type { BlockGroups } from './groups.ts';

/** Bounds of one request. */
export interface RequestSize {
  bytes: number;
  blocks: number;
}

/** Groups of one plan with what is left of each: shared by the queues of all peers. */
export class GroupRests {
  readonly groups: BlockGroups;
  readonly lengths: Uint32Array;
  /** What is left of group g: `groups.order[from[g]]` to `groups.order[to[g] - 1]`. */
  readonly from: Uint32Array;
  readonly to: Uint32Array;

  constructor(groups: BlockGroups, lengths: Uint32Array) {
    this.groups = groups;
    this.lengths = lengths;
    this.from = groups.starts.slice(0, -1);
    this.to = groups.starts.slice(1);
  }

  isEmpty(group: number): boolean {
    return (this.from[group] as number) >= (this.to[group] as number);
  }
}

export class WorkQueue {
  readonly #rests: GroupRests;
  readonly #groups: Uint32Array;
  #head = 0;
  #tail: number;
  #retries: number[] = [];
  #bytes = 0;
  #additions = 0;

  constructor(rests: GroupRests, groups: Uint32Array) {
    this.#rests = rests;
    this.#groups = groups;
    this.#tail = groups.length;
    for (const group of groups) this.#bytes += rests.groups.bytes[group] as number;
  }

  /** Bytes waiting. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How often a block was added: what could not be stolen before may be when this has changed. */
  get additions(): number {
    return this.#additions;
  }

  /** Puts a block in front of the groups. */
  add(block: number): void {
    this.#retries.push(block);
    this.#bytes += this.#rests.lengths[block] as number;
    this.#additions += 1;
  }

  /** Takes the next blocks, at least one if there are any. */
  take(size: RequestSize): number[] {
    const taken = new Taken(size, this.#rests.lengths);
    let used = 0;
    while (used < this.#retries.length && taken.add(this.#retries[used] as number)) used += 1;
    this.#retries = this.#retries.slice(used);
    const { from, to, groups } = this.#rests;
    while (this.#head < this.#tail && this.#retries.length === 0) {
      const group = this.#groups[this.#head] as number;
      let position = from[group] as number;
      while (position < (to[group] as number) && taken.add(groups.order[position] as number)) position += 1;
      from[group] = position;
      if (!this.#rests.isEmpty(group)) break;
      this.#head += 1;
    }
    this.#bytes -= taken.bytes;
    return taken.blocks;
  }

  /**
   * Takes blocks from the back for another peer, in the order in which they stand there.
   *
   * @param mayTakeSet whether blocks of this holder set may go there; asked for the sets of groups.
   * @param mayTakeBlock the same for one block.
   */
  steal(size: RequestSize, mayTakeSet: (set: number) => boolean, mayTakeBlock: (block: number) => boolean): number[] {
    this.#trimTail();
    const taken = new Taken(size, this.#rests.lengths);
    const { from, to, groups } = this.#rests;
    for (let index = this.#tail - 1; index >= this.#head && !taken.isFull; index--) {
      const group = this.#groups[index] as number;
      if (this.#rests.isEmpty(group) || !mayTakeSet(groups.sets[group] as number)) continue;
      let position = to[group] as number;
      while (position > (from[group] as number) && taken.add(groups.order[position - 1] as number)) position -= 1;
      to[group] = position;
    }
    const kept: number[] = [];
    for (let index = this.#retries.length - 1; index >= 0; index--) {
      const block = this.#retries[index] as number;
      if (taken.isFull || !mayTakeBlock(block) || !taken.add(block)) kept.push(block);
    }
    if (kept.length < this.#retries.length) this.#retries = kept.reverse();
    this.#bytes -= taken.bytes;
    return taken.blocks.reverse();
  }

  /** Takes out all blocks that were added one by one. */
  takeRetries(): number[] {
    const blocks = this.#retries;
    this.#retries = [];
    for (const block of blocks) this.#bytes -= this.#rests.lengths[block] as number;
    return blocks;
  }

  #trimTail(): void {
    while (this.#tail > this.#head && this.#rests.isEmpty(this.#groups[this.#tail - 1] as number)) this.#tail -= 1;
  }
}

/** Blocks gathered up to a size; the first one always fits. */
class Taken {
  readonly blocks: number[] = [];
  readonly #size: RequestSize;
  readonly #lengths: Uint32Array;
  bytes = 0;
  isFull = false;

  constructor(size: RequestSize, lengths: Uint32Array) {
    this.#size = size;
    this.#lengths = lengths;
  }

  /** False if the block does not fit any more. */
  add(block: number): boolean {
    const bytes = this.bytes + (this.#lengths[block] as number);
    if (this.blocks.length > 0 && (bytes > this.#size.bytes || this.blocks.length >= this.#size.blocks)) {
      this.isFull = true;
      return false;
    }
    this.blocks.push(block);
    this.bytes = bytes;
    return true;
  }
}
