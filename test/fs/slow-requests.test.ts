/** Requests that the disk below does not answer hold up nobody but who asked. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { DataMode } from '../../src/fs/session.ts';
import { createSandbox } from '../support/mount-daemon.ts';
import { startPausableDisk } from '../support/pausable-disk.ts';
import { needsIoUring, needsMount, needsRoot } from '../support/requirements.ts';

/** More than the threads that a queue of the ring begins with. */
const slowCount = 6;

/** Makes a directory from the first processor, so that all requests of a ring meet in one queue. */
function makeDirectory(t: TestContext, path: string): Promise<unknown[]> {
  const child = spawn('taskset', ['--cpu-list', '0', 'mkdir', path], { stdio: ['ignore', 'inherit', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  return once(child, 'exit');
}

const combinations = (['writeback', 'write-through'] satisfies DataMode[]).flatMap((dataMode) =>
  (['device', 'io_uring'] as const).map((transport) => ({ dataMode, transport })),
);

for (const { dataMode, transport } of combinations) {
  test(`slow requests hold up no others of their processor (${dataMode}, ${transport})`, {
    skip: needsRoot() || (transport === 'io_uring' ? needsIoUring() : needsMount()),
    timeout: 60_000,
  }, async (t) => {
    const sandbox = await createSandbox(t);
    const slow = join(sandbox.data, 'slow');
    const disk = await startPausableDisk(t, join(sandbox.path, 'disk'), slow);
    const daemon = await sandbox.mount({ dataDirectory: sandbox.data, dataMode, transport });
    const quick = join(sandbox.data, 'quick');
    // In directories of their own, since the kernel makes one name at a time in each.
    const places = Array.from({ length: slowCount }, (_, number) => join(slow, String(number)));
    for (const place of [quick, ...places]) await mkdir(place);
    await writeFile(join(quick, 'file'), 'content');

    await disk.pause();
    const waiting = places.map((place) => makeDirectory(t, join(place, 'made')));
    const isAnySlowDone = Promise.race(waiting).then(() => true);
    for (let round = 0; round < 3; round++) {
      assert.deepEqual(await makeDirectory(t, join(quick, String(round))), [0, null]);
    }
    assert.equal(await Promise.race([isAnySlowDone, Promise.resolve(false)]), false, 'the disk hung');

    disk.resume();
    assert.deepEqual(
      await Promise.all(waiting),
      places.map(() => [0, null]),
    );
    await daemon.unmount();
    await disk.remove();
  });
}
