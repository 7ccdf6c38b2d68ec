/**
 * The plan: which peer sends which blocks, and in which order. Pure and deterministic, no I/O.
 *
 * First the least bytes from the source: it gets only what no live peer holds. Then the least finishing time. The
 * plan is a start; `scheduler.ts` departs from it as peers turn out faster, slower, wrong or gone.
 */
import { assignGroups, countLive, type Machines, unassigned } from './assign.ts';
import type { DigestTable } from './digest-table.ts';
import { assignExactly } from './exact.ts';
import { type BlockGroups, gatherGroups } from './groups.ts';
import { type HolderSets, hashName, mix } from './holder-sets.ts';
import { rebalance } from './rebalance.ts';

/** The blocks wanted, in file order; the arrays are parallel. */
export interface NeededBlocks {
  /** Block i is number i of the table. */
  digests: DigestTable;
  /** Bytes of each block. */
  lengths: Uint32Array;
  /** Who holds each block, the source left out. */
  holders: Uint32Array;
  sets: HolderSets;
}

export interface PlanPeer {
  /** Bytes per second measured lately, undefined if never. */
  bytesPerSecond?: number;
  /** Bytes asked of it and not yet here. */
  bytesInFlight?: number;
  /** Requests that it answers for others at the moment: they have their part of its speed. */
  load?: number;
  /** How many times dearer a byte of it is than one of others; 1 unless told, and never less. Its seconds count so often. */
  price?: number;
  live: boolean;
}

export interface PlanOptions {
  /** By number in `sets`. */
  peers: readonly PlanPeer[];
  /** Name of who pulls: two pullers of the same blocks break ties and begin differently. */
  puller: string;
  /** Largest group, bytes; by default what `groupBytesFor` says. */
  groupBytes?: number;
}

export interface Plan {
  groups: BlockGroups;
  /** Groups of each peer, in the order in which it is to be asked for them. */
  queues: Uint32Array[];
  /** Groups that no live peer holds: the source's, in file order. */
  source: Uint32Array;
  /** Seconds until the last peer is done, if speeds stay; without the source's part. */
  seconds: number;
}

const groupBytesMax = 16 * 1024 * 1024;
/** Groups per peer aimed at: enough to even out, few enough to stay cheap. */
const groupsPerPeer = 64;
/** Requests that a puller keeps under way to a peer: its share beside `PlanPeer.load`. */
const ownRequests = 3;
/** Speed taken for a peer when none was ever measured, bytes per second. Only ratios matter to the plan. */
const bytesPerSecondGuess = 10e6;
const rebalanceSteps = 300_000;
/** Up to this many groups the best assignment is searched for, within `exactSteps` tries. */
const exactGroupsMax = 48;
const exactSteps = 300_000;

export function makePlan(needed: NeededBlocks, options: PlanOptions): Plan {
  const { sets, lengths } = needed;
  const live = options.peers.filter((peer) => peer.live).length;
  const groupBytes = options.groupBytes ?? groupBytesFor(sumOf(lengths), live);
  const groups = gatherGroups(lengths, needed.holders, { setCount: sets.setCount, groupBytes });
  const machines = machinesOf(sets, options);
  const liveCounts = countLive(sets, machines.liveMask);
  const salt = hashName(options.puller);
  const groupHashes = groups.starts
    .subarray(0, groups.bytes.length)
    .map((start) => mix(needed.digests.hashAt(groups.order[start] as number) ^ salt));
  const peerOf = assignGroups(groups, sets, machines, { liveCounts, groupHashes });
  rebalance(groups, sets, machines, { peerOf, steps: rebalanceSteps });
  if (groups.bytes.length <= exactGroupsMax) {
    assignExactly(groups, sets, machines, { peerOf, liveCounts, steps: exactSteps });
  }
  return {
    groups,
    ...queuesOf(groups, { peerOf, liveCounts, hashes: machines.hashes, salt }),
    seconds: machines.load.reduce((last, load, peer) => {
      const price = priceOf(options.peers[peer]);
      return Math.max(last, (load * (machines.secondsPerByte[peer] as number)) / price);
    }, 0),
  };
}

/** Bytes of the largest group: 16 MiB, less when there is little to share out. */
export function groupBytesFor(totalBytes: number, peers: number): number {
  return Math.min(groupBytesMax, Math.ceil(totalBytes / (Math.max(1, peers) * groupsPerPeer)));
}

function machinesOf(sets: HolderSets, { peers }: PlanOptions): Machines {
  const measured = peers.flatMap((peer) => (peer.bytesPerSecond === undefined ? [] : [peer.bytesPerSecond]));
  const usual = measured.length === 0 ? bytesPerSecondGuess : sumOf(measured) / measured.length;
  const count = sets.peerCount;
  const machines: Machines = {
    secondsPerByte: new Float64Array(count).fill(1 / usual),
    load: new Float64Array(count),
    liveMask: new Uint32Array(sets.wordsPerSet),
    hashes: Uint32Array.from(sets.names(), hashName),
  };
  for (let number = 0; number < count; number++) {
    const peer = peers[number];
    if (peer === undefined || !peer.live) continue;
    const share = ownRequests / (ownRequests + (peer.load ?? 0));
    machines.secondsPerByte[number] = priceOf(peer) / Math.max(1, (peer.bytesPerSecond ?? usual) * share);
    machines.load[number] = peer.bytesInFlight ?? 0;
    machines.liveMask[number >>> 5] = (machines.liveMask[number >>> 5] as number) | (1 << (number & 31));
  }
  return machines;
}

function priceOf(peer: PlanPeer | undefined): number {
  return Math.max(1, peer?.price ?? 1);
}

/**
 * Each peer's groups, fewest holders first: if the peer leaves, the source pays for what only it had. Among equals in
 * file order, begun at a place that depends on puller and peer, so that several pullers ask for different blocks.
 */
function queuesOf(
  groups: BlockGroups,
  by: { peerOf: Int32Array; liveCounts: Uint32Array; hashes: Uint32Array; salt: number },
): { queues: Uint32Array[]; source: Uint32Array } {
  const source: number[] = [];
  const lists: number[][] = Array.from(by.hashes, () => []);
  by.peerOf.forEach((peer, group) => {
    (peer === unassigned ? source : (lists[peer] as number[])).push(group);
  });
  const rarity = (group: number): number => by.liveCounts[groups.sets[group] as number] as number;
  const queues = lists.map((list, peer) => {
    const first = list[mix((by.hashes[peer] as number) ^ by.salt) % Math.max(1, list.length)] ?? 0;
    list.sort((a, b) => rarity(a) - rarity(b) || Number(a < first) - Number(b < first) || a - b);
    return Uint32Array.from(list);
  });
  return { queues, source: Uint32Array.from(source) };
}

function sumOf(numbers: Iterable<number>): number {
  let sum = 0;
  for (const number of numbers) sum += number;
  return sum;
}
