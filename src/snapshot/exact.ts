/**
 * The best assignment of few groups, by branch and bound. With few groups a wrong one weighs most, and trying is cheap.
 */
import { liveHolders, lowerBound, type Machines, planningOrder, unassigned } from './assign.ts';
import type { BlockGroups } from './groups.ts';
import type { HolderSets } from './holder-sets.ts';
import { goodEnough } from './rebalance.ts';

/**
 * Replaces `peerOf` and `machines.load` by a better assignment if one is found within `steps` tries.
 *
 * @param options.peerOf a complete assignment to begin with; the better it is, the more is left out of the search.
 */
export function assignExactly(
  groups: BlockGroups,
  sets: HolderSets,
  machines: Machines,
  options: { peerOf: Int32Array; liveCounts: Uint32Array; steps: number },
): void {
  const { peerOf } = options;
  const bound = lowerBound(machines) * goodEnough;
  let best = lastEnd(machines);
  if (best <= bound) return;
  const order = planningOrder(groups, options.liveCounts).filter((group) => peerOf[group] !== unassigned);
  const bestPeerOf = peerOf.slice();
  const bestLoad = machines.load.slice();
  for (const group of order) addLoad(machines, peerOf[group] as number, -(groups.bytes[group] as number));
  const idleEnd = lastEnd(machines);
  let steps = options.steps;

  const place = (depth: number, end: number): void => {
    if (depth === order.length) {
      best = end;
      bestPeerOf.set(peerOf);
      bestLoad.set(machines.load);
      return;
    }
    const group = order[depth] as number;
    const bytes = groups.bytes[group] as number;
    const endWith = (peer: number): number =>
      ((machines.load[peer] as number) + bytes) * (machines.secondsPerByte[peer] as number);
    const holders = liveHolders(sets, groups.sets[group] as number, machines);
    for (const peer of holders.sort((a, b) => endWith(a) - endWith(b) || a - b)) {
      const ended = Math.max(end, endWith(peer));
      if (ended >= best || --steps < 0 || best <= bound) return;
      addLoad(machines, peer, bytes);
      peerOf[group] = peer;
      place(depth + 1, ended);
      addLoad(machines, peer, -bytes);
    }
  };
  place(0, idleEnd);
  peerOf.set(bestPeerOf);
  machines.load.set(bestLoad);
}

function addLoad(machines: Machines, peer: number, bytes: number): void {
  machines.load[peer] = (machines.load[peer] as number) + bytes;
}

/** When the last peer that has anything to do is done. */
function lastEnd({ load, secondsPerByte }: Machines): number {
  return load.reduce((last, bytes, peer) => Math.max(last, bytes * (secondsPerByte[peer] as number)), 0);
}
