/** A power cut while everybody writes: the index on the disk that is left converges to a full hashing of the data there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomBelow } from '../../src/core/clock.ts';
import { needsMount } from '../support/requirements.ts';
import type { Convergence } from './converges.ts';
import { needsDiskImages } from './disk-images.ts';
import { cutPowerAndLook } from './power-cuts.ts';

test('an index converges to a full hashing after power cuts', {
  skip: needsMount() || (await needsDiskImages('ext4')),
  timeout: 300_000,
}, async (t) => {
  const seed = Number(process.env.COVAULT_SEED ?? randomBelow(1_000_000));
  t.diagnostic(`seed ${seed}`);
  const looks: Convergence[] = [];
  await cutPowerAndLook({ seed, kind: 'ext4', dataMode: 'write-through', cuts: 3, onLook: (look) => looks.push(look) });
  assert.equal(looks.length, 3);
  for (const { found } of looks) assert.equal(found, 'unclean');
  assert.ok(looks.some(({ files }) => files > 0));
});
