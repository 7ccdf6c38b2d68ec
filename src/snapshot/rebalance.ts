/**
 * Cost-reducing moves: as long as the peer that finishes last can hand a group on, directly, in exchange for a smaller
 * one, or along a chain of peers, so that all of them finish earlier than it did, do so.
 *
 * For groups of equal size and equal peers such chains alone lead to the optimum (Harvey, Ladner, Lovász, Tamir,
 * "Semi-matchings for bipartite graphs and load balancing", J. Algorithms 59, 2006); for unequal ones they come close.
 */
import { liveHolders, lowerBound, type Machines, unassigned } from './assign.ts';
import type { BlockGroups } from './groups.ts';
import type { HolderSets } from './holder-sets.ts';

/** Longest chain of peers tried. */
const chainMax = 5;
/** Groups of one peer that are tried. */
const differentMax = 1024;
/** Nearer to the lower bound than this is good enough: the peers' speeds are known less well. */
export const goodEnough = 1.002;

/**
 * Improves `peerOf` and `machines.load` in place.
 *
 * @param steps bound of the work: candidate moves looked at.
 */
export function rebalance(
  groups: BlockGroups,
  sets: HolderSets,
  machines: Machines,
  options: { peerOf: Int32Array; steps: number },
): void {
  const search = new Search(groups, sets, machines, options.peerOf);
  const bound = lowerBound(machines);
  search.stepsLeft = options.steps;
  for (;;) {
    const worst = search.lastToFinish();
    if (worst === unassigned || search.endOf(worst) <= bound * goodEnough) return;
    if (!search.relieve(worst)) return;
  }
}

class Search {
  readonly #groups: BlockGroups;
  readonly #sets: HolderSets;
  readonly #machines: Machines;
  readonly #peerOf: Int32Array;
  /** Groups of each peer, in no order. */
  readonly #members: number[][];
  readonly #onChain: Uint8Array;
  stepsLeft = 0;

  constructor(groups: BlockGroups, sets: HolderSets, machines: Machines, peerOf: Int32Array) {
    this.#groups = groups;
    this.#sets = sets;
    this.#machines = machines;
    this.#peerOf = peerOf;
    this.#members = Array.from(machines.load, () => []);
    this.#onChain = new Uint8Array(machines.load.length);
    peerOf.forEach((peer, group) => {
      if (peer !== unassigned) (this.#members[peer] as number[]).push(group);
    });
  }

  /** Seconds until `peer` has sent its load and `extra` bytes more. */
  endOf(peer: number, extra = 0): number {
    return ((this.#machines.load[peer] as number) + extra) * (this.#machines.secondsPerByte[peer] as number);
  }

  /** The peer with assigned groups that finishes last. */
  lastToFinish(): number {
    let last = unassigned;
    this.#members.forEach((members, peer) => {
      if (members.length > 0 && (last === unassigned || this.endOf(peer) > this.endOf(last))) last = peer;
    });
    return last;
  }

  /** Tries to make `worst`, and whoever takes over from it, end before it does now. */
  relieve(worst: number): boolean {
    const limit = this.endOf(worst) * (1 - 1e-9);
    for (let chain = 1; chain <= chainMax; chain++) {
      for (const group of this.#differentMembers(worst)) {
        if (this.stepsLeft <= 0) return false;
        this.#onChain[worst] = 1;
        const moved = this.#handOn(group, worst, limit, chain);
        this.#onChain[worst] = 0;
        if (moved) return true;
      }
    }
    return false;
  }

  /** Moves `group` away from `from` with at most `chain` moves in all, everybody ending before `limit`. */
  #handOn(group: number, from: number, limit: number, chain: number): boolean {
    const bytes = this.#groups.bytes[group] as number;
    const holders = this.#holdersByEnd(group, from);
    for (const peer of holders) {
      this.stepsLeft -= 1;
      if (this.endOf(peer, bytes) < limit) {
        this.#move(group, peer);
        return true;
      }
    }
    if (chain <= 1) return false;
    for (const peer of holders) {
      if (this.#onChain[peer] === 1) continue;
      if (this.#makeRoom(group, peer, limit, chain - 1)) return true;
    }
    return false;
  }

  /** Puts `group` on `peer` in place of another group, which is handed on. */
  #makeRoom(group: number, peer: number, limit: number, chain: number): boolean {
    const from = this.#peerOf[group] as number;
    const bytes = this.#groups.bytes[group] as number;
    for (const other of this.#differentMembers(peer)) {
      if (--this.stepsLeft <= 0) return false;
      if (this.endOf(peer, bytes - (this.#groups.bytes[other] as number)) >= limit) continue;
      this.#move(group, peer);
      this.#onChain[peer] = 1;
      const moved = this.#handOn(other, peer, limit, chain);
      this.#onChain[peer] = 0;
      if (moved) return true;
      this.#move(group, from);
    }
    return false;
  }

  /** Groups of `peer`, of those with the same holders and size only one: what does not help with it does with none. */
  #differentMembers(peer: number): number[] {
    const seen = new Set<number>();
    const different: number[] = [];
    const members = this.#members[peer] as number[];
    for (let index = members.length - 1; index >= 0 && different.length < differentMax; index--) {
      const group = members[index] as number;
      const key = (this.#groups.sets[group] as number) * 2 ** 32 + (this.#groups.bytes[group] as number);
      if (seen.has(key)) continue;
      seen.add(key);
      different.push(group);
    }
    return different;
  }

  /** Live holders of `group` but for `from`, the first to finish first. */
  #holdersByEnd(group: number, from: number): number[] {
    const holders = liveHolders(this.#sets, this.#groups.sets[group] as number, this.#machines).filter(
      (p) => p !== from,
    );
    const bytes = this.#groups.bytes[group] as number;
    return holders.sort((a, b) => this.endOf(a, bytes) - this.endOf(b, bytes) || a - b);
  }

  #move(group: number, to: number): void {
    const from = this.#peerOf[group] as number;
    const bytes = this.#groups.bytes[group] as number;
    const members = this.#members[from] as number[];
    // Groups are moved from near the end of the list, so looking for them from there is short.
    members.splice(members.lastIndexOf(group), 1);
    (this.#members[to] as number[]).push(group);
    this.#machines.load[from] = (this.#machines.load[from] as number) - bytes;
    this.#machines.load[to] = (this.#machines.load[to] as number) + bytes;
    this.#peerOf[group] = to;
  }
}
