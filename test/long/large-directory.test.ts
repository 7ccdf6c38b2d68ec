/** One directory of 100,000 entries (COVAULT_LONG_COUNT): made, listed, looked at, and emptied while it is listed. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { mkdir, opendir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import type { DataMode } from '../../src/fs/session.ts';
import { createProgress, longCount } from '../support/long-run.ts';
import { createSandbox } from '../support/mount-daemon.ts';
import { needsMount } from '../support/requirements.ts';

const execFileAsync = promisify(execFile);
const count = longCount(100_000);
/** Long enough that a listing takes many requests. */
const nameOf = (i: number) => `an-entry-with-a-name-that-is-not-short-${i}`;

for (const dataMode of ['write-through', 'writeback'] as DataMode[]) {
  test(`a directory of ${count} entries is listed, looked at and emptied (${dataMode})`, {
    skip: needsMount(),
  }, async (t) => {
    const sandbox = await createSandbox(t);
    const found = join(sandbox.data, 'found');
    mkdirSync(found);
    for (let i = 0; i < count; i++) closeSync(openSync(join(found, nameOf(i)), 'w'));
    const daemon = await sandbox.mount({ dataDirectory: sandbox.data, dataMode, keepMutations: false });
    const names = new Set(await readdir(found));
    assert.equal(names.size, count);
    assert.ok(names.has(nameOf(0)) && names.has(nameOf(count - 1)));
    const { stdout } = await execFileAsync('sh', ['-c', `ls -l "${found}" | grep -c '^-'`]);
    assert.equal(Number(stdout), count);

    const made = join(sandbox.data, 'made');
    await mkdir(made);
    const tell = createProgress('entries made through the mount', count);
    for (let i = 0; i < count; i++) {
      await writeFile(join(made, nameOf(i)), '');
      tell(i);
    }
    assert.equal(new Set(await readdir(made)).size, count);
    assert.equal((await stat(join(made, nameOf(count >> 1)))).size, 0);

    // What is removed while it is listed is not listed twice, and what stays is not left out.
    const seen = new Set<string>();
    for await (const { name } of await opendir(made, { bufferSize: 100 })) {
      assert.ok(!seen.has(name), `${name} is listed twice`);
      seen.add(name);
      await rm(join(made, name));
    }
    assert.equal(seen.size, count);
    assert.deepEqual(await readdir(made), []);
    await execFileAsync('rm', ['-r', made, found]);
    assert.deepEqual(await readdir(sandbox.data), []);
    await daemon.unmount();
  });
}
