/** Databases and repositories under load: every snapshot of them opens and passes its own check of integrity. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { rowsEach } from './application-rows.ts';
import { type Committed, openAll } from './applications.ts';
import { makeStage } from './stage.ts';

const writersPath = fileURLToPath(new URL('application-writers.ts', import.meta.url));
const snapshots = Number(process.env['COVAULT_SNAPSHOTS'] ?? 4);

/** Starts the applications. `committed` is what they have said so far. */
async function startApplications(directory: string) {
  const committed: Committed = { 'sqlite-wal': 0, 'sqlite-rollback': 0, git: 0, lmdb: 0 };
  const child = spawn(process.execPath, [writersPath, directory], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'close');
  const stop = async () => {
    child.kill('SIGKILL');
    const [code, signal] = await ended;
    assert.equal(signal, 'SIGKILL', `an application failed with status ${code}`);
  };
  const begun = Promise.withResolvers<void>();
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { application, committed: count } = JSON.parse(line) as { application: keyof Committed; committed: number };
    committed[application] = count;
    if (Object.values(committed).every((known) => known > 0)) begun.resolve();
  });
  await Promise.race([begun.promise, ended.then(([code]) => assert.fail(`an application failed with status ${code}`))]);
  return { committed, stop };
}

for (const dataMode of ['writeback', 'write-through'] as const) {
  test(`SQLite, git and LMDB open from every snapshot taken under load (${dataMode})`, async (t) => {
    const stage = makeStage(t);
    await stage.startRepository();
    await stage.join('vault', 'secondary');
    const laptop = await stage.startClient('laptop', ['--data-mode', dataMode]);
    const { committed, stop } = await startApplications(laptop.data);
    try {
      for (let number = 0; number < snapshots; number++) {
        const before = { ...committed };
        await stage.do(['snapshot', 'laptop', '--to', stage.path('store'), '--state', stage.stateOf('vault')]);
        const after = { ...committed };
        const restored = stage.path('restored');
        await stage.do(['restore', stage.path('store'), 'laptop/latest', restored]);
        const found = await openAll(restored, rowsEach);
        for (const name of Object.keys(found) as (keyof Committed)[]) {
          const counts = `${name}: ${found[name]} of ${before[name]} to ${after[name]}`;
          assert.ok(found[name] >= before[name], `${counts}: what was committed before is in`);
          assert.ok(found[name] <= after[name] + 1, `${counts}: what came after is not`);
        }
        rmSync(restored, { recursive: true });
      }
    } finally {
      // Before the mount goes, so that nothing but the mount can have made an application fail.
      await stop();
    }
  });
}
