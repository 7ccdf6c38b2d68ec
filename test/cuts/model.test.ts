/**
 * Writers of all kinds at work, cuts in the loop: every snapshot is a state that the recorded history allows, of one moment for
 * all of them, and stays that. A seed that fails does the same operations again, in the same order for each writer:
 *
 *   COVAULT_SEED=123 npm test -- cuts/model
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomBelow } from '../../src/core/clock.ts';
import { needsMount } from '../support/requirements.ts';
import { playRound } from './round.ts';

const roundsMax = 8;
const cutsWanted = 13;

for (const dataMode of ['write-through', 'writeback'] as const) {
  test(`every snapshot is of one moment (${dataMode})`, { skip: needsMount(), timeout: 600_000 }, async (t) => {
    const first = Number(process.env.COVAULT_SEED ?? randomBelow(1_000_000));
    let cuts = 0;
    for (let seed = first; cuts < cutsWanted && seed < first + roundsMax; seed++) {
      t.diagnostic(`seed ${seed}`);
      const report = await playRound({ seed, dataMode, writers: 3, operations: 4000, cutsMax: cutsWanted });
      assert.deepEqual(report.problems, [], `seed ${seed}`);
      assert.ok(report.readings >= 2 * report.cuts);
      cuts += report.cuts;
    }
    t.diagnostic(`${cuts} cuts`);
    assert.ok(cuts > 0);
  });
}
