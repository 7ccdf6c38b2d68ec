/** Telling a running process from one that ended. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { isRunning, ownProcess, packProcessMark, unpackProcessMark } from '../../src/repository/process-mark.ts';

test('this process runs; one that ended, a later one of its number, and one before the last boot do not', async () => {
  const own = ownProcess();
  assert.ok(isRunning(own));
  assert.deepEqual(unpackProcessMark(packProcessMark(own)), own);
  assert.ok(!isRunning({ ...own, startTicks: `${own.startTicks}0` }));
  assert.ok(!isRunning({ ...own, boot: 'another' }));
  const child = spawn('true');
  await once(child, 'exit');
  assert.ok(!isRunning({ ...own, pid: child.pid ?? 0 }));
});
