/** Pulls in random worlds of misbehaving peers, in virtual time. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Fault } from './fake-peers.ts';
import { checkInvariants, runPull, type World } from './pull-world.ts';

const fault: fc.Arbitrary<Fault> = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Fault>({ kind: 'none' }) },
  fc.record({ kind: fc.constant('lacks' as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
  fc.record({
    kind: fc.constantFrom('lies', 'short', 'endless', 'stalls', 'dies', 'truncates'),
    after: fc.nat(20),
  }) as fc.Arbitrary<Fault>,
  fc.record({ kind: fc.constant('busy' as const), times: fc.nat(5) }),
  fc.record({ kind: fc.constant('restarts' as const), after: fc.nat(20), times: fc.nat(4) }),
  fc.constant<Fault>({ kind: 'refuses' }),
  fc.record({ kind: fc.constant('slows' as const), after: fc.nat(20), share: fc.constantFrom(0.5, 0.01, 0.0001) }),
);

const world: fc.Arbitrary<World> = fc
  .record({ peerCount: fc.nat(6), blockCount: fc.integer({ min: 0, max: 60 }) })
  .chain(({ peerCount, blockCount }) =>
    fc.record({
      lengths: fc.array(fc.integer({ min: 4, max: 300_000 }), { minLength: blockCount, maxLength: blockCount }),
      holders: fc.array(fc.subarray([...Array(peerCount).keys()]), { minLength: blockCount, maxLength: blockCount }),
      peers: fc.array(fc.record({ bytesPerSecond: fc.constantFrom(12.5e6, 6e6, 6e5, 1e5), fault }), {
        minLength: peerCount,
        maxLength: peerCount,
      }),
      source: fc.record({
        bytesPerSecond: fc.constantFrom(12.5e6, 1e6),
        fault: fc.oneof(
          { weight: 4, arbitrary: fc.constant<Fault>({ kind: 'none' }) },
          fc.record({ kind: fc.constant('dies' as const), after: fc.nat(10) }),
          fc.record({ kind: fc.constant('lacks' as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
        ),
      }),
    }),
  );

describe('a pull', () => {
  test('stores every block once and right, and spares the source, whatever peers do', async () => {
    await fc.assert(
      fc.asyncProperty(world, async (some) => checkInvariants(some, await runPull(some))),
      { numRuns: 200 },
    );
  });

  test('goes the same way twice', async () => {
    await fc.assert(
      fc.asyncProperty(world, async (some) => {
        const [one, other] = [await runPull(some), await runPull(some)];
        assert.equal(one.seconds, other.seconds);
        assert.deepEqual(one.channel.traffic.asked, other.channel.traffic.asked);
      }),
      { numRuns: 25 },
    );
  });
});
