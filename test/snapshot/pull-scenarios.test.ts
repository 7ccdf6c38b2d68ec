/** How long pulls take on given links, in virtual time: exact, and independent of the machine that runs the test. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { noSourceUse } from '../../src/core/snapshot.ts';
import type { Fault } from './fake-peers.ts';
import { checkInvariants, type Outcome, peerName, runPull, type World } from './pull-world.ts';

const blockCount = 800;
const blockBytes = 256 * 1024;
const totalBytes = blockCount * blockBytes;
const megabit = 1e6 / 8;
const none: Fault = { kind: 'none' };
const equalLinks = [100, 100, 100, 100];
const unequalLinks = [100, 50, 20, 5];

/** Peers on links of so many Mbit/s; all of them hold the first `share` of the blocks; peer 0 has the fault. */
function worldOf(
  megabits: readonly number[],
  options: { share?: number; fault?: Fault; latencyMs?: number } = {},
): World {
  const everybody = megabits.map((_, peer) => peer);
  const { share = 1, fault = none, latencyMs = 5 } = options;
  return {
    lengths: Array.from({ length: blockCount }, () => blockBytes),
    holders: Array.from({ length: blockCount }, (_, block) => (block < blockCount * share ? everybody : [])),
    peers: megabits.map((rate, peer) => ({
      bytesPerSecond: rate * megabit,
      latencyMs,
      fault: peer === 0 ? fault : none,
    })),
    source: { bytesPerSecond: 10 * megabit, latencyMs, fault: none },
  };
}

function secondsAt(megabits: readonly number[], bytes = totalBytes): number {
  return bytes / (megabits.reduce((sum, rate) => sum + rate, 0) * megabit);
}

async function run(world: World): Promise<Outcome & { result: NonNullable<Outcome['result']> }> {
  const outcome = await runPull(world);
  checkInvariants(world, outcome);
  assert.ok(outcome.result, `the pull failed: ${String(outcome.error)}`);
  return { ...outcome, result: outcome.result };
}

describe('a pull from several peers', () => {
  for (const [name, links] of Object.entries({ equal: equalLinks, unequal: unequalLinks })) {
    for (const latencyMs of [1, 50]) {
      test(`ends within 1.15 of the bound over ${name} links of unknown speed and ${latencyMs} ms`, async () => {
        const { seconds, result } = await run(worldOf(links, { latencyMs }));
        assert.ok(seconds <= 1.15 * secondsAt(links), `${seconds} s`);
        assert.equal(result.sourceBytes, 0);
        assert.ok(result.wastedBytes <= 0.05 * totalBytes);
      });
    }
  }

  test('takes from the source what only it has, at the same time as the rest from peers', async () => {
    const { seconds, result } = await run(worldOf(equalLinks, { share: 0.9 }));
    assert.ok(seconds <= 1.05 * secondsAt([10], 0.1 * totalBytes), `${seconds} s`);
    assert.equal(result.sourceBytes, 0.1 * totalBytes);
  });

  const faults: Record<string, Fault> = {
    stalls: { kind: 'stalls', after: 70 },
    dies: { kind: 'dies', after: 70 },
    'restarts twice': { kind: 'restarts', after: 50, times: 2 },
    'drops to 1 % of its speed': { kind: 'slows', after: 70, share: 0.01 },
    'serves wrong bytes': { kind: 'lies', after: 70 },
    'serves truncated blocks': { kind: 'truncates', after: 70 },
    'serves short answers': { kind: 'short', after: 70 },
    'serves without end': { kind: 'endless', after: 70 },
    'denies having anything': { kind: 'lacks', share: 1 },
    'has lost half': { kind: 'lacks', share: 0.5 },
    'is busy at first': { kind: 'busy', times: 3 },
    'is busy and says for how long': { kind: 'busy', times: 1, retryAfterMs: 500 },
    'does not serve for an hour': { kind: 'busy', times: 1e9, retryAfterMs: 3_600_000 },
    'lets nobody in': { kind: 'refuses' },
  };
  for (const [name, fault] of Object.entries(faults)) {
    test(`ends within 1.3 of the bound without a peer that ${name}`, async () => {
      const { seconds, result } = await run(worldOf(equalLinks, { fault }));
      assert.ok(seconds <= 1.3 * secondsAt(equalLinks.slice(1)), `${seconds} s`);
      assert.equal(result.sourceBytes, 0);
    });
  }

  for (const kind of ['lies', 'truncates', 'endless'] as const) {
    test(`names and drops a peer that ${kind}`, async () => {
      const { result, channel } = await run(worldOf(equalLinks, { fault: { kind, after: 70 } }));
      assert.deepEqual(
        result.dropped.map(({ peer, reason }) => [peer, reason.kind]),
        [[peerName(0), 'lied']],
      );
      assert.ok((channel.traffic.sentBytes.get(peerName(0)) ?? 0) < 0.2 * totalBytes, 'it was asked again and again');
    });
  }

  test('reports every wrong entry of the map that it meets, and no other', async () => {
    const { reported, result } = await run(worldOf(equalLinks, { fault: { kind: 'lacks', share: 0.5 } }));
    assert.ok(reported.length > 50);
    assert.equal(
      [...result.lacked.values()].reduce((sum, count) => sum + count, 0),
      reported.length,
    );
    for (const { peer, digest } of reported) {
      assert.equal(peer, peerName(0));
      assert.ok(digest.charCodeAt(0) < 128);
    }
    assert.equal(new Set(reported.map(({ digest }) => digest)).size, reported.length);
  });

  for (const fault of [
    { kind: 'stalls', after: 50 },
    { kind: 'dies', after: 50 },
    { kind: 'slows', after: 50, share: 0.01 },
  ] as const) {
    test(`turns to the source when the only holder ${fault.kind}, after having waited for it`, async () => {
      const world = worldOf(equalLinks, { fault });
      world.holders = world.holders.map((_, block) => [block % 4]);
      world.source.bytesPerSecond = 100 * megabit;
      const { seconds, result } = await run(world);
      assert.ok(seconds <= 8 + secondsAt(equalLinks), `${seconds} s`);
      assert.ok(result.sourceBytes > 0 && result.sourceBytes <= 0.25 * totalBytes);
    });
  }

  test('asks a busy peer again when it wants to be asked, and not before', async () => {
    const world = worldOf([100], { fault: { kind: 'busy', times: 3, retryAfterMs: 7_000 } });
    const { seconds, channel, result } = await run(world);
    // Three requests go out at once, and all three are refused.
    assert.ok(seconds >= 7 && seconds <= 7.5 + 1.15 * secondsAt([100]), `${seconds} s`);
    assert.equal(result.sourceBytes, 0);
    assert.equal(result.dropped.length, 0);
    assert.ok((channel.traffic.asked.get(peerName(0)) ?? []).length < 1.5 * blockCount);
  });

  test('does not wait for the only holder if it says that it will not serve for long', async () => {
    const world = worldOf([100], { fault: { kind: 'busy', times: 1e9, retryAfterMs: 300_000 } });
    world.source.bytesPerSecond = 100 * megabit;
    const outcome = await runPull(world);
    assert.equal(outcome.result?.sourceBytes, totalBytes);
    assert.ok(outcome.seconds <= 1 + 1.15 * secondsAt([100]), `${outcome.seconds} s`);
  });

  test('keeps the source below its bound', async () => {
    const world = worldOf([], { share: 0 });
    world.lengths = world.lengths.slice(0, 100);
    world.holders = world.holders.slice(0, 100);
    const { seconds } = await runPull(world, { sourceBytesPerSecondMax: 500_000 });
    assert.ok(seconds >= 0.9 * ((100 * blockBytes) / 500_000), `${seconds} s`);
  });

  test('is held to the bound of the source only until its deadline', async () => {
    const world = worldOf([], { share: 0 });
    world.source.bytesPerSecond = 100 * megabit;
    world.lengths = world.lengths.slice(0, 100);
    world.holders = world.holders.slice(0, 100);
    const bounds = { sourceBytesPerSecondMax: 500_000, sourceFreeAtMs: 10_000 };
    const { seconds, result } = await runPull(world, bounds);
    const freeSeconds = (100 * blockBytes - 10 * 500_000) / (100 * megabit);
    assert.ok(seconds >= 9 + freeSeconds * 0.5 && seconds <= 11 + 1.2 * freeSeconds, `${seconds} s`);
    assert.deepEqual(result?.sourceUse, { ...noSourceUse(), onlyHolder: 100 * blockBytes });
  });

  test('turns to the source for what others hold as well once its deadline has passed, and says so', async () => {
    const world = worldOf([10]);
    world.source.bytesPerSecond = 100 * megabit;
    const { seconds, result } = await runPull(world, { sourceFreeAtMs: 5_000 });
    assert.ok(seconds >= 5 && seconds <= 5 + 1.2 * secondsAt([110]), `${seconds} s`);
    assert.ok(result && result.sourceBytes > 0.8 * totalBytes);
    assert.deepEqual(result.sourceUse, { ...noSourceUse(), deadline: result.sourceBytes });
  });

  test('says why the source was used, and how fast peers were', async () => {
    const whyOf = async (world: World) => (await run(world)).result;
    const lacking = await whyOf(worldOf([100], { share: 0.9, fault: { kind: 'lacks', share: 0.5 } }));
    assert.equal(lacking.sourceUse.onlyHolder, 0.1 * totalBytes);
    assert.equal(lacking.sourceUse.holdersFailed, lacking.sourceBytes - 0.1 * totalBytes);
    assert.ok(lacking.sourceUse.holdersFailed > 0);
    const busy = await whyOf(worldOf([100], { fault: { kind: 'busy', times: 1e9, retryAfterMs: 300_000 } }));
    assert.deepEqual(busy.sourceUse, { ...noSourceUse(), notCountedOn: totalBytes });
    const lying = await whyOf(worldOf([100], { fault: { kind: 'lies', after: 70 } }));
    assert.deepEqual(lying.sourceUse, { ...noSourceUse(), holdersFailed: lying.sourceBytes });
    const { speeds } = await whyOf(worldOf(unequalLinks));
    for (const [peer, rate] of unequalLinks.entries()) {
      const measured = speeds.get(peerName(peer)) ?? 0;
      assert.ok(measured > 0.7 * rate * megabit && measured <= 1.01 * rate * megabit, `${peer}: ${measured} B/s`);
    }
  });

  test('comes to its end with a bound for the source when timers go off a moment early', async () => {
    const world = worldOf([], { share: 0 });
    world.lengths = world.lengths.slice(0, 100);
    world.holders = world.holders.slice(0, 100);
    const outcome = await runPull({ ...world, isCoarse: true }, { sourceBytesPerSecondMax: 500_000 });
    assert.equal(outcome.stored.size, 100);
  });

  test('fails clearly when only the source has the rest and is gone, and keeps what came', async () => {
    const world = worldOf(equalLinks, { share: 0.5 });
    world.source.fault = { kind: 'dies', after: 10 };
    const outcome = await runPull(world);
    checkInvariants(world, outcome);
    assert.equal(outcome.result, undefined);
    assert.match(String(outcome.error), /laptop does not send 390 blocks that nobody else has/);
    assert.equal((outcome.error as { code?: string }).code, 'E_UNAVAILABLE');
    assert.equal(outcome.stored.size, 410);
  });
});
