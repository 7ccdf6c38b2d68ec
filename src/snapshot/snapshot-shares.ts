/** Who gave what for one snapshot, over all its rounds. */
import { noSourceUse, type PeerShare, type SourceUse, sourceReasons } from '../core/snapshot.ts';
import type { DropReason } from './peer-health.ts';
import type { NeededBlocks, Plan } from './plan.ts';
import type { PullResult } from './pull.ts';

export class SnapshotShares {
  readonly #peerBytes = new Map<string, number>();
  readonly #dropped = new Map<string, DropReason>();
  /** Why the source was asked for blocks. */
  readonly sourceUse: SourceUse = noSourceUse();
  /** Bytes per second of peers, as measured last. */
  readonly speeds = new Map<string, number>();
  newBytes = 0;
  /** Blocks that the source sent. */
  sourceBytes = 0;
  /** Blocks that, as far as the map knew when they were planned, nobody else held. */
  onlyAtSourceBytes = 0;
  wastedBytes = 0;
  /** Blocks that each peer was said to hold and did not. */
  readonly lacked = new Map<string, number>();

  /** Adds what one pull brought. */
  add(needed: NeededBlocks, plan: Plan, result: PullResult): void {
    for (const [peer, bytes] of result.peerBytes) {
      this.#peerBytes.set(peer, (this.#peerBytes.get(peer) ?? 0) + bytes);
      this.newBytes += bytes;
    }
    this.newBytes += result.sourceBytes;
    this.sourceBytes += result.sourceBytes;
    for (const reason of sourceReasons) this.sourceUse[reason] += result.sourceUse[reason];
    for (const [peer, speed] of result.speeds) this.speeds.set(peer, speed);
    this.wastedBytes += result.wastedBytes;
    for (const [peer, count] of result.lacked) this.lacked.set(peer, (this.lacked.get(peer) ?? 0) + count);
    for (const { peer, reason } of result.dropped) this.#dropped.set(peer, reason);
    this.onlyAtSourceBytes += onlyAtSource(needed, plan, result.lost);
  }

  /** Peers that are not asked any more, and why. */
  get dropped(): ReadonlyMap<string, DropReason> {
    return this.#dropped;
  }

  /** Largest first. */
  peers(): PeerShare[] {
    const shares = [...this.#peerBytes].map(([peer, bytes]) => ({ peer, bytes }));
    shares.sort((a, b) => b.bytes - a.bytes || (a.peer < b.peer ? -1 : 1));
    return shares.filter((share) => share.bytes > 0);
  }
}

/** Bytes planned for the source, those left out that even it did not have. */
function onlyAtSource(needed: NeededBlocks, plan: Plan, lost: readonly number[]): number {
  const { starts, order } = plan.groups;
  const isLost = new Set(lost);
  let bytes = 0;
  for (const group of plan.source) {
    for (const block of order.subarray(starts[group], starts[group + 1])) {
      if (!isLost.has(block)) bytes += needed.lengths[block] as number;
    }
  }
  return bytes;
}
