/**
 * Random operations on a mount and on a bare directory: what every call returned, its errno, and the trees in between
 * must be equal. The operations come from `native/test/differential`, a program that repeats exactly for a seed:
 *
 *   COVAULT_SEED=123 npm test -- fs/differential
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { globSync } from 'node:fs';
import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { compareTrees } from '../../src/browse/compare-trees.ts';
import { randomBelow } from '../../src/core/clock.ts';
import { createSandbox, type Sandbox } from '../support/mount-daemon.ts';
import { needsIoUring } from '../support/requirements.ts';

const run = promisify(execFile);
const sources = globSync(fileURLToPath(new URL('../../native/test/differential/*.cc', import.meta.url)));
const operationsPerSeed = 5000;
const seedsPerMode = 4;

async function buildDriver(sandbox: Sandbox): Promise<string> {
  const driver = join(sandbox.path, 'differential');
  await run('c++', ['-std=c++20', '-O1', ...sources, '-o', driver]);
  return driver;
}

const combinations = (['writeback', 'write-through'] as const).flatMap((dataMode) =>
  (['device', 'io_uring'] as const).map((transport) => ({ dataMode, transport })),
);

for (const { dataMode, transport } of combinations) {
  const skip = transport === 'io_uring' ? needsIoUring() : false;
  const title = `random operations end alike on the mount and on a bare directory (${dataMode}, ${transport})`;
  test(title, { skip }, async (t) => {
    const sandbox = await createSandbox(t);
    const driver = await buildDriver(sandbox);
    const daemon = await sandbox.mount({ dataDirectory: sandbox.data, dataMode, transport });
    assert.equal(daemon.transport, transport);
    const bare = join(sandbox.path, 'bare');
    await mkdir(bare);
    const first = Number(process.env.COVAULT_SEED ?? randomBelow(1_000_000));
    for (let seed = first; seed < first + seedsPerMode; seed++) {
      t.diagnostic(`seed ${seed}`);
      const sides = [join(sandbox.data, `${seed}`), join(bare, `${seed}`)] as const;
      for (const side of sides) {
        await mkdir(side);
        // The driver's processes are of different users.
        await chmod(side, 0o777);
      }
      await run(driver, [String(seed), String(operationsPerSeed), ...sides]);
    }
    await daemon.unmount();
    const comparison = await compareTrees(sandbox.data, bare, { ignore: ['mtime'] });
    assert.deepEqual(comparison.differences, [], 'what lies in the data directory is what the mount showed');
  });
}
