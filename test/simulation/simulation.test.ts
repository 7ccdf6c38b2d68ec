/** Whole domains in virtual time, with faults of every kind: what must hold, holds for each seed. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { runSeeds } from './seeds.ts';
import { simulate } from './simulate.ts';

const seeds = 80;

describe('a simulated domain', () => {
  test(`keeps every promise for ${seeds} seeds`, async () => {
    const { failures, snapshots, bytes } = await runSeeds({ first: 1, count: seeds });
    assert.deepEqual(failures, [], failures.join('\n'));
    assert.ok(snapshots > seeds, `only ${snapshots} snapshots were made`);
    assert.ok(bytes > seeds * 100_000, `only ${bytes} bytes were sent`);
  });

  test('goes the same way each time it is run with a seed', async () => {
    for (let seed = 1; seed <= 5; seed++) assert.deepEqual(await simulate(seed), await simulate(seed));
  });

  test('goes another way with another seed', async () => {
    const hashes = new Set<number>();
    for (let seed = 1; seed <= 10; seed++) hashes.add((await simulate(seed)).traceHash);
    assert.equal(hashes.size, 10);
  });
});
