/** Random rounds of the model of cuts; `npm run test:long -- cuts` has as many as are wanted. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomBelow } from '../../src/core/clock.ts';
import { needsMount } from '../support/requirements.ts';
import { playRound } from './round.ts';

/** In all, over the rounds of each data mode. */
const cutsWanted = 12;

for (const dataMode of ['write-through', 'writeback'] as const) {
  test(`snapshots are of one moment while others write (${dataMode})`, {
    skip: needsMount(),
    timeout: 600_000,
  }, async (t) => {
    let seed = Number(process.env.COVAULT_SEED ?? randomBelow(1_000_000));
    for (let cuts = 0; cuts < cutsWanted; seed++) {
      t.diagnostic(`seed ${seed}`);
      const left = cutsWanted - cuts;
      const report = await playRound({ seed, dataMode, writers: 3, operations: 4000, restMaxMs: 40, cutsMax: left });
      assert.deepEqual(report.problems, [], `seed ${seed}`);
      cuts += report.cuts;
    }
  });
}
