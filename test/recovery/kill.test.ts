/** A daemon that is killed at random points: the index converges to what a full hashing gives, and says how. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomBelow } from '../../src/core/clock.ts';
import { needsMount } from '../support/requirements.ts';
import type { Convergence } from './converges.ts';
import { killAndLook } from './kills.ts';

for (const dataMode of ['write-through', 'writeback'] as const) {
  test(`an index whose daemon was killed converges to a full hashing (${dataMode})`, {
    skip: needsMount(),
    timeout: 300_000,
  }, async (t) => {
    const seed = Number(process.env.COVAULT_SEED ?? randomBelow(1_000_000));
    t.diagnostic(`seed ${seed}`);
    const looks: Convergence[] = [];
    await killAndLook({ seed, dataMode, kills: 6, onLook: (look) => looks.push(look) });
    assert.ok(looks.length > 0);
    for (const { found } of looks) assert.equal(found, 'unclean', 'and the status says that it was not closed');
    assert.ok(looks.some(({ files }) => files > 0));
  });
}
