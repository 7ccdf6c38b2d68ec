/** Plans of random instances, small ones against the best there is. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { makePlan, type Plan } from '../../src/snapshot/plan.ts';
import { type Instance, instance, neededOf, planOf, pricedSeconds, secondsPerByte } from './plan-instances.ts';

function blocksOf(plan: Plan, group: number): number[] {
  return [...plan.groups.order.subarray(plan.groups.starts[group], plan.groups.starts[group + 1])];
}

/** Who is to send each block: a peer's number, or 'source'. */
function assignedTo(plan: Plan): Map<number, number | 'source'> {
  const assigned = new Map<number, number | 'source'>();
  const give = (group: number, to: number | 'source') => {
    for (const block of blocksOf(plan, group)) {
      assert.ok(!assigned.has(block), `block ${block} is assigned twice`);
      assigned.set(block, to);
    }
  };
  plan.queues.forEach((queue, peer) => {
    for (const group of queue) give(group, peer);
  });
  for (const group of plan.source) give(group, 'source');
  return assigned;
}

/** Seconds of the best assignment of single blocks, by trying all. */
function bestSeconds({ lengths, holders, peers }: Instance): number {
  const load = peers.map((peer) => (peer.live ? peer.bytesInFlight : 0));
  const endOf = (peer: number) => (load[peer] as number) * secondsPerByte(peers[peer] as Instance['peers'][number]);
  let best = Number.POSITIVE_INFINITY;
  const place = (block: number, end: number): void => {
    if (end >= best) return;
    if (block === lengths.length) {
      best = end;
      return;
    }
    const live = (holders[block] ?? []).filter((peer) => peers[peer]?.live);
    if (live.length === 0) place(block + 1, end);
    for (const peer of live) {
      load[peer] = (load[peer] as number) + (lengths[block] as number);
      place(block + 1, Math.max(end, endOf(peer)));
      load[peer] = (load[peer] as number) - (lengths[block] as number);
    }
  };
  place(0, Math.max(0, ...peers.map((_, peer) => endOf(peer))));
  return best;
}

/** Blocks for each of two peers, alike but for what is given, that hold the same. */
function countsOf(one: { load?: number; price?: number }, other: { load?: number; price?: number }): [number, number] {
  const plain = { live: true, bytesPerSecond: 1000, bytesInFlight: 0 };
  const some: Instance = {
    lengths: Array.from({ length: 3000 }, () => 1000),
    holders: Array.from({ length: 3000 }, () => [0, 1]),
    peers: [
      { ...plain, ...one },
      { ...plain, ...other },
    ],
  };
  const to = [...assignedTo(planOf(some)).values()];
  return [to.filter((peer) => peer === 0).length, to.filter((peer) => peer === 1).length];
}

describe('a plan', () => {
  const any = instance({ blocksMax: 200, peersMax: 40, lengthMax: 1_000_000 });

  test('assigns every block once, to a live holder, and to the source only what no live peer holds', () => {
    fc.assert(
      fc.property(any, (some) => {
        const assigned = assignedTo(planOf(some));
        assert.equal(assigned.size, some.lengths.length);
        for (const [block, to] of assigned) {
          const live = (some.holders[block] ?? []).filter((peer) => some.peers[peer]?.live);
          if (to === 'source') assert.deepEqual(live, [], `the source is to send block ${block}`);
          else assert.ok(live.includes(to), `peer ${to} is to send block ${block}`);
        }
      }),
    );
  });

  test('is the same for the same input', () => {
    fc.assert(fc.property(any, (some) => assert.deepEqual(planOf(some), planOf(some))));
  });

  test('ends within 5 % of the best assignment there is', () => {
    fc.assert(
      fc.property(instance({ blocksMax: 9, peersMax: 4, lengthMax: 1000 }), (some) => {
        const best = bestSeconds(some);
        const seconds = pricedSeconds(some, planOf(some));
        assert.ok(seconds <= best * 1.05, `${seconds} s, best ${best} s`);
      }),
      { numRuns: 500 },
    );
  });

  test('gives a busy peer as much less as others take of its speed', () => {
    const counts = countsOf({ load: 3 }, {});
    assert.ok(Math.abs(counts[0] / counts[1] - 0.5) < 0.02, `${counts}`);
  });

  test('gives a dear peer as much less as it is dearer, and all that it alone holds', () => {
    const counts = countsOf({ price: 4 }, {});
    assert.ok(Math.abs(counts[0] / counts[1] - 0.25) < 0.02, `${counts}`);
    const alone: Instance = {
      lengths: [1000],
      holders: [[0]],
      peers: [{ live: true, bytesPerSecond: 1000, bytesInFlight: 0, price: 100 }],
    };
    assert.deepEqual([...assignedTo(planOf(alone))], [[0, 0]]);
  });

  test('says how long it takes in seconds, whatever the price', () => {
    fc.assert(
      fc.property(any, (some) => {
        const free = { ...some, peers: some.peers.map((peer) => ({ ...peer, price: 1 })) };
        const plan = planOf(some);
        assert.ok(Math.abs(plan.seconds - pricedSeconds(free, plan)) <= plan.seconds * 1e-9);
      }),
    );
  });

  test('spreads many blocks over unequal peers to within 1 % of their joint speed', () => {
    const rates = [100, 50, 20, 5];
    const some: Instance = {
      lengths: Array.from({ length: 3000 }, (_, block) => 1 + ((block * 7919) % 1000)),
      holders: Array.from({ length: 3000 }, () => [0, 1, 2, 3]),
      peers: rates.map((bytesPerSecond) => ({ live: true, bytesPerSecond, bytesInFlight: 0 })),
    };
    const bytes = some.lengths.reduce((sum, length) => sum + length, 0);
    assert.ok(planOf(some).seconds <= (bytes / 175) * 1.01);
  });

  test('hands groups on along chains of peers that share no blocks', () => {
    const pairs = [
      [0, 1],
      [0, 2],
      [2, 3],
    ];
    const some: Instance = {
      lengths: Array.from({ length: 360 }, () => 1000),
      holders: Array.from({ length: 360 }, (_, block) => pairs[Math.floor(block / 120)] as number[]),
      peers: Array.from({ length: 4 }, () => ({ live: true, bytesPerSecond: 1000, bytesInFlight: 0 })),
    };
    assert.ok(planOf(some).seconds <= 90 * 1.05, `${planOf(some).seconds} s`);
  });

  test('asks each peer first for what the fewest others hold', () => {
    fc.assert(
      fc.property(any, (some) => {
        const plan = planOf(some);
        for (const queue of plan.queues) {
          const rarities = [...queue].map((group) => {
            const block = blocksOf(plan, group)[0] as number;
            return (some.holders[block] ?? []).filter((peer) => some.peers[peer]?.live).length;
          });
          assert.deepEqual(
            rarities,
            rarities.toSorted((a, b) => a - b),
          );
        }
      }),
    );
  });

  test('keeps the blocks of a group in file order and below the size of a group', () => {
    fc.assert(
      fc.property(any, (some) => {
        const { groups } = makePlan(neededOf(some), { peers: some.peers, puller: 'secondary', groupBytes: 2_000_000 });
        for (let group = 0; group < groups.bytes.length; group++) {
          const blocks = [...groups.order.subarray(groups.starts[group], groups.starts[group + 1])];
          assert.deepEqual(
            blocks,
            blocks.toSorted((a, b) => a - b),
          );
          const bytes = blocks.reduce((sum, block) => sum + (some.lengths[block] as number), 0);
          assert.equal(bytes, groups.bytes[group]);
          assert.ok(bytes <= 2_000_000);
        }
      }),
    );
  });

  test('lets two pullers of the same blocks turn to different peers first', () => {
    const some: Instance = {
      lengths: Array.from({ length: 400 }, () => 1000),
      holders: Array.from({ length: 400 }, () => [0, 1, 2, 3]),
      peers: Array.from({ length: 4 }, () => ({ live: true, bytesPerSecond: 100, bytesInFlight: 0 })),
    };
    const one = assignedTo(planOf(some, 'archive'));
    const other = assignedTo(planOf(some, 'vault'));
    const same = [...one].filter(([block, peer]) => other.get(block) === peer).length;
    assert.ok(same < 200, `${same} of 400 blocks go to the same peer`);
  });
});
