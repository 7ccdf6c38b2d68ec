/**
 * The model of cuts, for as many cuts as are asked for: `COVAULT_CUTS` in each data mode, 1000 by default. Each round has a
 * seed, printed; `COVAULT_SEED` begins with another.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomBelow } from '../../src/core/clock.ts';
import { playRound } from '../cuts/round.ts';
import { createProgress } from '../support/long-run.ts';
import { needsMount } from '../support/requirements.ts';

const wanted = Number(process.env.COVAULT_CUTS ?? 1000);

for (const dataMode of ['write-through', 'writeback'] as const) {
  test(`every one of many snapshots is of one moment (${dataMode})`, { skip: needsMount() }, async (t) => {
    const first = Number(process.env.COVAULT_SEED ?? randomBelow(1_000_000));
    const tell = createProgress(`cuts, ${dataMode}, from seed ${first} on`, wanted);
    const sums = { cuts: 0, taken: 0, operations: 0, readings: 0, bytesRead: 0 };
    for (let seed = first; sums.cuts < wanted; seed++) {
      const writers = 2 + (seed % 3);
      // One round of four has writers that never rest, which is hard on a cut, and gives few of them.
      const restMaxMs = seed % 4 === 0 ? 0 : 40;
      const report = await playRound({ seed, dataMode, writers, operations: 8000, restMaxMs, cutsMax: wanted });
      assert.deepEqual(report.problems, [], `seed ${seed}, ${writers} writers, after ${sums.cuts} cuts`);
      for (const name of Object.keys(sums) as (keyof typeof sums)[]) sums[name] += report[name];
      tell(sums.cuts);
    }
    t.diagnostic(`seeds from ${first} on: ${JSON.stringify(sums)}`);
  });
}
