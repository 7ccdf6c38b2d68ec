/**
 * Random work in a directory in memory while its index scans, follows, makes cuts, is killed, and is opened again after
 * further work of which nobody told: each cut must be the directory as it was. `COVAULT_SEED` and `COVAULT_SEEDS` (how many
 * from there on) for others and more.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { play } from './model/play.ts';

const first = Number(process.env.COVAULT_SEED ?? 1);
const count = Number(process.env.COVAULT_SEEDS ?? 25);

test('no name and no content is missed, whatever happens when', async (t) => {
  t.diagnostic(`seeds ${first} to ${first + count - 1}`);
  const done = { operations: 0, cuts: 0, kills: 0 };
  for (let seed = first; seed < first + count; seed++) {
    const { problems, operations, cuts, kills } = await play(seed, { lives: 4, cuts: 4 });
    assert.deepEqual(problems, [], `seed ${seed}`);
    done.operations += operations;
    done.cuts += cuts;
    done.kills += kills;
  }
  t.diagnostic(`${done.operations} operations, ${done.cuts} cuts, ${done.kills} kills`);
});
