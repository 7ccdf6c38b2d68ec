/** A run's leftovers are found and removed, and nothing else is. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { cleanUp, findLeftovers, mountsBelow, processesUnder } from '../../scripts/leftovers.ts';

test('mounts at and below the directory are found, deepest first, with odd names', () => {
  const mounts = [
    'covault /run/a fuse rw 0 0',
    'covault /run/a/b\\040c fuse rw 0 0',
    'covault /run/ab fuse rw 0 0',
    'proc /proc proc rw 0 0',
  ].join('\n');
  assert.deepEqual(mountsBelow('/run/a', mounts), ['/run/a/b c', '/run/a']);
});

test('a process that outlives its run is named and ended, one of another run is not', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'covault-leftovers-'));
  const other = mkdtempSync(join(tmpdir(), 'covault-leftovers-'));
  const start = (TMPDIR: string) => spawn('sleep', ['60'], { env: { ...process.env, TMPDIR } });
  const [mine, theirs] = [start(directory), start(other)];
  t.after(() => {
    for (const child of [mine, theirs]) child.kill('SIGKILL');
    for (const path of [directory, other]) rmSync(path, { recursive: true, force: true });
  });
  await Promise.all([once(mine, 'spawn'), once(theirs, 'spawn')]);
  writeFileSync(join(directory, 'forgotten'), '');

  const { processes, files, mounts } = findLeftovers(directory);
  assert.deepEqual(processes, [`${mine.pid}: sleep 60`]);
  assert.deepEqual(files, ['forgotten']);
  assert.deepEqual(mounts, []);

  const ended = once(mine, 'exit');
  await cleanUp(directory);
  await ended;
  assert.deepEqual(processesUnder(directory), []);
  assert.equal(existsSync(directory), false);
  assert.deepEqual(processesUnder(other), [theirs.pid]);
});
