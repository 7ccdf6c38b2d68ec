/**
 * Assignment of block groups to peers: minimise the time at which the last peer finishes.
 *
 * Longest processing time first with eligibility (Graham, SIAM J. Appl. Math. 17, 1969, for the order; restricted to
 * holders and related speeds): groups with the fewest holders first, among those the largest, each to the holder that
 * would finish first. `rebalance.ts` improves on the result.
 */
import type { BlockGroups } from './groups.ts';
import { type HolderSets, mix } from './holder-sets.ts';

/** A group that no live peer holds. */
export const unassigned = -1;

/** What assignment works on; arrays by peer number. */
export interface Machines {
  /** Seconds that one byte takes. */
  secondsPerByte: Float64Array;
  /** Bytes assigned so far, with what was in flight before. */
  load: Float64Array;
  /** Bits of the peers that may be assigned anything, as wide as a set of `HolderSets`. */
  liveMask: Uint32Array;
  /** 32 bits for each peer, for breaking ties. */
  hashes: Uint32Array;
}

/** How many live peers hold each set. */
export function countLive(sets: HolderSets, liveMask: Uint32Array): Uint32Array {
  const { bits, wordsPerSet: words, setCount } = sets;
  const counts = new Uint32Array(setCount);
  for (let set = 0; set < setCount; set++) {
    let count = 0;
    for (let word = 0; word < words; word++) {
      count += bitCount((bits[set * words + word] as number) & (liveMask[word] as number));
    }
    counts[set] = count;
  }
  return counts;
}

/**
 * Assigns every group; raises `machines.load`.
 *
 * @param liveCounts from `countLive`.
 * @param groupHashes 32 bits for each group: equal ends of two holders are decided by the mixed hash of group and peer
 *   (rendezvous hashing), so that several snapshots at once do not all turn to the same peer.
 * @returns the peer of each group, or `unassigned`.
 */
export function assignGroups(
  groups: BlockGroups,
  sets: HolderSets,
  machines: Machines,
  options: { liveCounts: Uint32Array; groupHashes: Uint32Array },
): Int32Array {
  const peerOf = new Int32Array(groups.bytes.length).fill(unassigned);
  for (const group of planningOrder(groups, options.liveCounts)) {
    const peer = earliestHolder(group, groups, sets, machines, options.groupHashes[group] as number);
    if (peer === unassigned) continue;
    peerOf[group] = peer;
    machines.load[peer] = (machines.load[peer] as number) + (groups.bytes[group] as number);
  }
  return peerOf;
}

function earliestHolder(
  group: number,
  groups: BlockGroups,
  sets: HolderSets,
  machines: Machines,
  groupHash: number,
): number {
  const { bits, wordsPerSet: words } = sets;
  const { load, secondsPerByte, liveMask, hashes } = machines;
  const bytes = groups.bytes[group] as number;
  const row = (groups.sets[group] as number) * words;
  let best = unassigned;
  let bestEnd = Number.POSITIVE_INFINITY;
  for (let word = 0; word < words; word++) {
    let rest = (bits[row + word] as number) & (liveMask[word] as number);
    while (rest !== 0) {
      const peer = word * 32 + 31 - Math.clz32(rest & -rest);
      rest &= rest - 1;
      const end = ((load[peer] as number) + bytes) * (secondsPerByte[peer] as number);
      if (end > bestEnd) continue;
      if (end === bestEnd && tie(groupHash, hashes[peer] as number) <= tie(groupHash, hashes[best] as number)) continue;
      best = peer;
      bestEnd = end;
    }
  }
  return best;
}

/** The live peers of a set, ascending. */
export function liveHolders(sets: HolderSets, set: number, { liveMask }: Machines): number[] {
  return sets.peersOf(set).filter((peer) => ((liveMask[peer >>> 5] as number) & (1 << (peer & 31))) !== 0);
}

/** No assignment ends before all bytes are spread over all live peers by their speeds, seconds. */
export function lowerBound(machines: Machines): number {
  let bytes = 0;
  let bytesPerSecond = 0;
  for (let peer = 0; peer < machines.load.length; peer++) {
    if (((machines.liveMask[peer >>> 5] as number) & (1 << (peer & 31))) === 0) continue;
    bytes += machines.load[peer] as number;
    bytesPerSecond += 1 / (machines.secondsPerByte[peer] as number);
  }
  return bytesPerSecond === 0 ? 0 : bytes / bytesPerSecond;
}

function tie(groupHash: number, peerHash: number): number {
  return mix(groupHash ^ Math.imul(peerHash, 0x9e3779b1));
}

/** Groups by (live holders ascending, bytes descending, number ascending): a radix sort, linear. */
export function planningOrder(groups: BlockGroups, liveCounts: Uint32Array): Uint32Array {
  const count = groups.bytes.length;
  const sizeKeys = new Uint32Array(count);
  const holderKeys = new Uint32Array(count);
  for (let group = 0; group < count; group++) {
    sizeKeys[group] = ~(groups.bytes[group] as number) >>> 0;
    holderKeys[group] = liveCounts[groups.sets[group] as number] as number;
  }
  let order = Uint32Array.from({ length: count }, (_, group) => group);
  for (const keys of [sizeKeys, holderKeys]) {
    for (const shift of [0, 11, 22]) order = sortByDigit(order, keys, shift);
  }
  return order;
}

const digitMask = 0x7ff;

/** A stable counting sort of `order` by eleven bits of its keys; returns `order` itself if all are equal. */
function sortByDigit(order: Uint32Array<ArrayBuffer>, keys: Uint32Array, shift: number): Uint32Array<ArrayBuffer> {
  const next = new Uint32Array(digitMask + 2);
  for (const key of keys) raise(next, ((key >>> shift) & digitMask) + 1, 1);
  if (next.includes(order.length)) return order;
  for (let digit = 0; digit <= digitMask; digit++) raise(next, digit + 1, next[digit] as number);
  const sorted = new Uint32Array(order.length);
  for (const group of order) {
    const digit = ((keys[group] as number) >>> shift) & digitMask;
    sorted[next[digit] as number] = group;
    raise(next, digit, 1);
  }
  return sorted;
}

function raise(counts: Uint32Array, index: number, by: number): void {
  counts[index] = (counts[index] as number) + by;
}

function bitCount(word: number): number {
  let bits = word - ((word >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
