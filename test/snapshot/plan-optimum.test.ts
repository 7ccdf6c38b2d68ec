/** Plans against the optimum that a solver for (mixed-integer) linear programs finds: HiGHS. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import fc from 'fast-check';
import type { LegacyHighs } from 'highs';
import { type Instance, instance, planOf, pricedSeconds, secondsPerByte } from './plan-instances.ts';

// Its declarations describe the form for `require` alone.
const loadHighs: () => Promise<LegacyHighs> = createRequire(import.meta.url)('highs');
const highs = await loadHighs();
/** How far from the optimum the solver may stop. */
const gap = 1e-4;

/**
 * The least time after which the last peer can be done: each block goes to one live holder, or (`isWhole` false) in parts
 * to several, which bounds the first from below. Undefined if the solver gives up.
 */
function leastSeconds(some: Instance, isWhole: boolean): number | undefined {
  const sums: string[][] = some.peers.map(() => []);
  const variables: string[] = [];
  const rows: string[] = [];
  const unit = Math.max(1, ...some.lengths);
  for (const [block, holders] of some.holders.entries()) {
    const live = holders.filter((peer) => some.peers[peer]?.live);
    if (live.length === 0) continue;
    const parts = live.map((peer) => `x${block}_${peer}`);
    rows.push(`b${block}: ${parts.join(' + ')} = 1`);
    variables.push(...parts);
    for (const [at, peer] of live.entries()) {
      const seconds =
        ((some.lengths[block] as number) / unit) * secondsPerByte(some.peers[peer] as Instance['peers'][number]);
      sums[peer]?.push(`${seconds} ${parts[at]}`);
    }
  }
  for (const [peer, sum] of sums.entries()) {
    const { live, bytesInFlight } = some.peers[peer] as Instance['peers'][number];
    if (!live) continue;
    const before = (bytesInFlight / unit) * secondsPerByte(some.peers[peer] as Instance['peers'][number]);
    rows.push(`p${peer}: ${['t', ...sum.map((part) => `- ${part}`)].join(' ')} >= ${before}`);
  }
  if (rows.length === 0) return 0;
  const kinds = isWhole ? `Binary\n ${variables.join(' ')}\n` : '';
  const problem = `Minimize\n t\nSubject To\n ${rows.join('\n ')}\nBounds\n t >= 0\n${kinds}End\n`;
  const solution = highs.solve(problem, { mip_rel_gap: gap, time_limit: 20 });
  return solution.Status === 'Optimal' ? solution.ObjectiveValue * unit : undefined;
}

/** The plan is no better than the optimum, so the two mean the same, and not much worse. */
function checkWithin(some: Instance, least: number | undefined): void {
  assert.ok(least !== undefined, 'the solver found no optimum');
  const seconds = pricedSeconds(some, planOf(some));
  assert.ok(seconds >= least * (1 - 2 * gap), `${seconds} s, which is better than the best, ${least} s`);
  assert.ok(seconds <= least * 1.05, `${seconds} s, best ${least} s`);
}

test('a plan ends within 5 % of the optimum of up to sixteen blocks and six unequal peers', () => {
  fc.assert(
    fc.property(instance({ blocksMax: 16, peersMax: 6, lengthMax: 1000 }), (some) => {
      checkWithin(some, leastSeconds(some, true));
    }),
    { numRuns: 60 },
  );
});

test('a plan of hundreds of blocks and a dozen unequal peers ends, but for one block, within 5 % of what dividing blocks could reach', () => {
  fc.assert(
    fc.property(instance({ blocksMin: 200, blocksMax: 400, peersMax: 12, lengthMax: 1000 }), (some) => {
      const least = leastSeconds(some, false);
      assert.ok(least !== undefined, 'the solver found no optimum');
      const longest = Math.max(0, ...some.holders.map((holders, block) => fastest(some, holders, block)));
      const seconds = pricedSeconds(some, planOf(some));
      assert.ok(seconds <= least * 1.05 + longest, `${seconds} s, divided ${least} s, longest block ${longest} s`);
    }),
    { numRuns: 40 },
  );
});

/** Seconds of one block at the live holder that sends it soonest. */
function fastest(some: Instance, holders: readonly number[], block: number): number {
  const live = holders.map((peer) => some.peers[peer]).filter((peer) => peer?.live);
  if (live.length === 0) return 0;
  return Math.min(
    ...live.map((peer) => (some.lengths[block] as number) * secondsPerByte(peer as Instance['peers'][number])),
  );
}
