/** Calls that the C library forgot: the pool is woken for them, and processes end all the same. */
import assert from 'node:assert/strict';
import { createHook } from 'node:async_hooks';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { keepThreadPoolAwake } from '../../src/commands/thread-pool.ts';

const keepAwake = fileURLToPath(new URL('../../scripts/keep-awake.ts', import.meta.url));

test('the thread pool is given something to do again and again', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let calls = 0;
  const init = (_: number, type: string) => {
    if (type === 'FSREQCALLBACK') calls += 1;
  };
  const hook = createHook({ init }).enable();
  t.after(() => hook.disable());
  keepThreadPoolAwake();
  assert.equal(calls, 0);
  for (const expected of [1, 2, 3]) {
    t.mock.timers.tick(2_000);
    assert.equal(calls, expected);
  }
});

test('that does not keep a process from ending', () => {
  const { status, signal } = spawnSync(process.execPath, ['--import', keepAwake, '--eval', '0'], { timeout: 60_000 });
  assert.deepEqual({ status, signal }, { status: 0, signal: null });
});
