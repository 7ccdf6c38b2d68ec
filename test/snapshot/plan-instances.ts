/** Random instances of the planning problem, and plans of them. */
import fc from 'fast-check';
import { createDigester } from '../../src/core/digest.ts';
import { DigestTable } from '../../src/snapshot/digest-table.ts';
import { HolderSets } from '../../src/snapshot/holder-sets.ts';
import { makePlan, type NeededBlocks, type Plan } from '../../src/snapshot/plan.ts';

export interface Instance {
  lengths: number[];
  holders: number[][];
  peers: { live: boolean; bytesPerSecond: number; bytesInFlight: number; load?: number; price?: number }[];
}

export function instance(sizes: {
  blocksMin?: number;
  blocksMax: number;
  peersMax: number;
  lengthMax: number;
}): fc.Arbitrary<Instance> {
  return fc
    .record({
      peerCount: fc.nat(sizes.peersMax),
      blockCount: fc.integer({ min: sizes.blocksMin ?? 0, max: sizes.blocksMax }),
    })
    .chain(({ peerCount, blockCount }) =>
      fc.record({
        lengths: fc.array(fc.integer({ min: 1, max: sizes.lengthMax }), {
          minLength: blockCount,
          maxLength: blockCount,
        }),
        holders: fc.array(fc.subarray([...Array(peerCount).keys()]), {
          minLength: blockCount,
          maxLength: blockCount,
        }),
        peers: fc.array(
          fc.record({
            live: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, fc.constant(false)),
            bytesPerSecond: fc.constantFrom(100, 50, 20, 5),
            bytesInFlight: fc.oneof(fc.constant(0), fc.nat(sizes.lengthMax)),
            load: fc.constantFrom(0, 0, 1, 6),
            price: fc.constantFrom(1, 1, 1, 3),
          }),
          { minLength: peerCount, maxLength: peerCount },
        ),
      }),
    );
}

const digester = createDigester(new Uint8Array(32));

export function neededOf({ lengths, holders, peers }: Instance): NeededBlocks {
  const sets = new HolderSets();
  for (const number of peers.keys()) sets.peer(`peer-${number}`);
  const digests = new DigestTable();
  for (const block of lengths.keys()) digests.add(digester.digest(Buffer.from(`block ${block}`)));
  return {
    digests,
    lengths: Uint32Array.from(lengths),
    holders: Uint32Array.from(holders, (set) => sets.intern(set)),
    sets,
  };
}

export function planOf(some: Instance, puller = 'secondary'): Plan {
  return makePlan(neededOf(some), { peers: some.peers, puller });
}

/** Seconds that a byte of a peer takes, as the plan must see it: others have their share, and price counts as time. */
export function secondsPerByte({ bytesPerSecond, load = 0, price = 1 }: Instance['peers'][number]): number {
  return (price * (3 + load)) / 3 / bytesPerSecond;
}

/** When the last peer is done, price counted as time. */
export function pricedSeconds(some: Instance, plan: Plan): number {
  const ends = some.peers.map((peer, number) => {
    if (!peer.live) return 0;
    const assigned = [...(plan.queues[number] ?? [])].reduce(
      (sum, group) => sum + (plan.groups.bytes[group] as number),
      0,
    );
    return (assigned + peer.bytesInFlight) * secondsPerByte(peer);
  });
  return Math.max(0, ...ends);
}
