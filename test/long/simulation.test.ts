/** Ten thousand simulated domains (COVAULT_LONG_COUNT), the seeds from COVAULT_LONG_SEED on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runSeeds } from '../simulation/seeds.ts';
import { createProgress, longCount, longSeed } from '../support/long-run.ts';

const count = longCount(10_000);
const first = longSeed();

test(`every promise is kept for ${count} seeds from ${first} on`, async () => {
  const tell = createProgress('seeds', count);
  let done = 0;
  const { seeds, snapshots, messages, bytes, hours, failures } = await runSeeds({
    first,
    count,
    onSeed: () => tell(++done),
  });
  process.stdout.write(`${seeds} seeds, ${snapshots} snapshots, ${messages} messages, ${bytes} bytes, `);
  process.stdout.write(`${Math.round(hours)} simulated hours\n`);
  assert.deepEqual(failures, [], failures.join('\n'));
});
