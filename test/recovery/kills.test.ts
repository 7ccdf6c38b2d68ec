/** A few random kills of a daemon at work; `npm run test:long -- recovery` has hundreds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomBelow } from '../../src/core/clock.ts';
import { needsMount } from '../support/requirements.ts';
import { killAndLook } from './kills.ts';

const kills = 4;

for (const dataMode of ['write-through', 'writeback'] as const) {
  test(`an index converges to a full hashing after kills (${dataMode})`, {
    skip: needsMount(),
    timeout: 600_000,
  }, async (t) => {
    const seed = Number(process.env.COVAULT_SEED ?? randomBelow(1_000_000));
    t.diagnostic(`seed ${seed}`);
    let looks = 0;
    await killAndLook({ seed, dataMode, kills, onLook: () => looks++ });
    assert.ok(looks > 0);
  });
}
