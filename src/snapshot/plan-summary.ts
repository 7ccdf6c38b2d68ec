/** What a plan says before anything is pulled: how much, and from whom. */
import type { PeerShare } from '../core/snapshot.ts';
import type { NeededBlocks, Plan, PlanPeer } from './plan.ts';

/** What a peer is to send, and what of it the plan went by; a speed only if one was ever measured. */
export interface PlanShare extends PeerShare, Pick<PlanPeer, 'bytesPerSecond' | 'load' | 'price'> {}

export interface PlanSummary {
  /** Nanoseconds since 1970 of the cut that it is for. */
  timeNs: bigint;
  /** Blocks that the store lacks, each once, and their bytes. */
  blocks: number;
  bytes: number;
  /** Bytes of those that no live peer is said to hold. */
  sourceBytes: number;
  /** Largest first; peers that are to send nothing are left out. */
  peers: PlanShare[];
  /** Trees and recipes that the store lacked, which come from the source before there is a plan. */
  objects: number;
  objectBytes: number;
}

/** `planned` is undefined if the store lacks no block. */
export function summarizePlan(
  planned: { needed: NeededBlocks; plan: Plan; peers: readonly PlanPeer[] } | undefined,
  cut: Pick<PlanSummary, 'timeNs' | 'objects' | 'objectBytes'>,
): PlanSummary {
  if (!planned) return { ...cut, blocks: 0, bytes: 0, sourceBytes: 0, peers: [] };
  const { needed, plan } = planned;
  const bytesOf = (groups: Uint32Array) => groups.reduce((sum, group) => sum + (plan.groups.bytes[group] as number), 0);
  const names = needed.sets.names();
  const peers = plan.queues
    .map((queue, number): PlanShare => {
      const { live: _, bytesInFlight: __, ...known } = planned.peers[number] as PlanPeer;
      return { peer: names[number] as string, bytes: bytesOf(queue), ...known };
    })
    .filter(({ bytes }) => bytes > 0)
    .sort((a, b) => b.bytes - a.bytes || (a.peer < b.peer ? -1 : 1));
  const sourceBytes = bytesOf(plan.source);
  const bytes = needed.lengths.reduce((sum, length) => sum + length, 0);
  return { ...cut, blocks: needed.lengths.length, bytes, sourceBytes, peers };
}
