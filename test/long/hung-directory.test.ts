/** A data directory on a disk that hangs: its mount can be taken away, and the daemon ends. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { runCovault, startCovault } from '../../scripts/covault-process.ts';
import { mountAt, readMountTable } from '../../src/fs/mount-table.ts';
import { needsFileSystem } from '../support/file-systems.ts';
import { ownDirectory } from '../support/own-directory.ts';
import { startPausableDisk } from '../support/pausable-disk.ts';

/** After so long nothing is under way: what the disk has taken when it hangs, nobody can end (the last test). */
const quietMs = 3000;

/** A program that writes to a file and keeps it open. This process must not: it could start none while the disk hangs. */
async function keepOpen(t: TestContext, path: string): Promise<void> {
  const program = spawn('sh', ['-c', 'exec 3> "$1"; echo dirty >&3; echo open; read -r _', 'sh', path]);
  t.after(() => program.kill('SIGKILL'));
  await once(program.stdout, 'data');
}

for (const how of ['covault unmount --lazy', 'SIGTERM']) {
  for (const dataMode of ['write-through', 'writeback']) {
    test(`a mount whose disk hangs is taken away by ${how}, and its daemon ends (${dataMode})`, {
      skip: needsFileSystem(),
      timeout: 180_000,
    }, async (t) => {
      const path = ownDirectory(t, 'covault-hung-');
      const disk = await startPausableDisk(t, join(path, 'below'), join(path, 'disk'));
      const data = join(path, 'disk/data');
      const state = join(path, 'state');
      await mkdir(data);
      const daemon = await startCovault(['mount', data, '--state', state, '--data-mode', dataMode]);
      await writeFile(join(data, 'before'), 'on disk');
      // In writeback mode what it writes is still in the page cache when the disk hangs.
      await keepOpen(t, join(data, 'open'));
      await delay(quietMs);

      try {
        await disk.pause();
        // Programs that ask only once: after the end they would ask the disk itself.
        const waiting = ['mkdir', 'mkfifo'].map((program) => spawn(program, [join(data, `new-${program}`)]));
        const waited = Promise.all(waiting.map((child) => once(child, 'exit')));
        await delay(500);
        assert.ok(waiting.every(({ exitCode }) => exitCode === null));

        if (how === 'SIGTERM') {
          assert.equal((await daemon.stop('SIGTERM')).exitCode, 130);
        } else {
          const unmounted = await runCovault(['unmount', data, '--lazy', '--state', state]);
          assert.equal(unmounted.exitCode, 0, unmounted.standardError + JSON.stringify(unmounted.last));
          assert.equal((await daemon.finished).exitCode, 0);
        }
        assert.equal(mountAt(await readMountTable(), data), undefined);
        for (const [status] of await waited) assert.notEqual(status, 0, 'what waited was told that it failed');
      } finally {
        // Whatever comes now touches the disk.
        disk.resume();
      }
      assert.equal(await readFile(join(data, 'before'), 'utf8'), 'on disk');
    });
  }
}

test('what no signal ends goes on until its disk answers; the mount is gone before, and the command says so', {
  skip: needsFileSystem(),
  timeout: 240_000,
}, async (t) => {
  const path = ownDirectory(t, 'covault-hung-');
  // A disk behind a disk: the first has taken a request when the other hangs, and who made it cannot be killed.
  const behind = await startPausableDisk(t, join(path, 'below'), join(path, 'behind'));
  const disk = await startPausableDisk(t, join(path, 'behind/below'), join(path, 'disk'));
  const data = join(path, 'disk/data');
  const state = join(path, 'state');
  await mkdir(data);
  const daemon = await startCovault(['mount', data, '--state', state]);
  await writeFile(join(data, 'before'), 'on disk');

  try {
    await behind.pause();
    const waiting = spawn('mkdir', [join(data, 'new')]);
    const waited = once(waiting, 'exit');
    await delay(500);
    assert.equal(waiting.exitCode, null);

    const unmounted = await runCovault(['unmount', data, '--lazy', '--state', state]);
    assert.equal(unmounted.last.code, 'E_MOUNT', JSON.stringify(unmounted.last));
    assert.match(unmounted.last.hint, /ends when the disk does/);
    assert.equal(mountAt(await readMountTable(), data), undefined);
    assert.notEqual((await waited)[0], 0, 'what waited was told that it failed');
    assert.equal(daemon.child.exitCode, null);
  } finally {
    behind.resume();
  }
  await daemon.finished;
  assert.equal(await readFile(join(data, 'before'), 'utf8'), 'on disk');
  await disk.remove();
  await behind.remove();
});
