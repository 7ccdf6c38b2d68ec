/** What is known of each needed block while it is pulled: a few bytes per block, whatever happens. */
import type { NeededBlocks } from './plan.ts';

const waiting = 0;
const asked = 1;
const done = 2;
const lost = 3;

export class BlockStates {
  readonly needed: NeededBlocks;
  readonly #phases: Uint8Array;
  /** Requests under way that include the block. */
  readonly #copies: Uint8Array;
  readonly #sourceLacks: Uint8Array;
  /** Who may still have it: the holders it began with, less those that lacked it. */
  readonly #holders: Uint32Array;
  doneCount = 0;
  doneBytes = 0;
  lostCount = 0;

  constructor(needed: NeededBlocks) {
    const count = needed.lengths.length;
    this.needed = needed;
    this.#phases = new Uint8Array(count);
    this.#copies = new Uint8Array(count);
    this.#sourceLacks = new Uint8Array(count);
    this.#holders = needed.holders.slice();
  }

  get count(): number {
    return this.#phases.length;
  }

  /** Every block is here or known to be nowhere. */
  get isSettled(): boolean {
    return this.doneCount + this.lostCount === this.count;
  }

  lengthOf(block: number): number {
    return this.needed.lengths[block] as number;
  }

  holdersOf(block: number): number {
    return this.#holders[block] as number;
  }

  isDone(block: number): boolean {
    return this.#phases[block] === done;
  }

  /** It was asked for and has neither come nor gone back to a queue. */
  isAsked(block: number): boolean {
    return this.#phases[block] === asked;
  }

  copiesOf(block: number): number {
    return this.#copies[block] as number;
  }

  sourceLacks(block: number): boolean {
    return this.#sourceLacks[block] === 1;
  }

  /** A request for it begins. */
  ask(block: number): void {
    this.#copies[block] = (this.#copies[block] as number) + 1;
    if (this.#phases[block] === waiting) this.#phases[block] = asked;
  }

  /** A request for it is over, with or without it. True if it must be queued again. */
  release(block: number): boolean {
    this.#copies[block] = (this.#copies[block] as number) - 1;
    if (this.#copies[block] !== 0 || this.#phases[block] !== asked) return false;
    this.#phases[block] = waiting;
    return true;
  }

  /** It is here and verified. */
  finish(block: number): void {
    this.#phases[block] = done;
    this.doneCount += 1;
    this.doneBytes += this.lengthOf(block);
  }

  /** Nobody has it. */
  lose(block: number): void {
    this.#phases[block] = lost;
    this.lostCount += 1;
  }

  peerLacks(block: number, peer: number): void {
    this.#holders[block] = this.needed.sets.without(this.holdersOf(block), peer);
  }

  markSourceLacks(block: number): void {
    this.#sourceLacks[block] = 1;
  }

  /** Numbers of the blocks that nobody has. */
  lostBlocks(): number[] {
    const blocks: number[] = [];
    this.#phases.forEach((phase, block) => {
      if (phase === lost) blocks.push(block);
    });
    return blocks;
  }
}
