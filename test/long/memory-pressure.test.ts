/** Daemon and load together in much less memory than the load writes: nothing stops, and nothing is lost. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import type { DataMode } from '../../src/fs/session.ts';
import { longCount } from '../support/long-run.ts';
import { limitMemory, needsMemoryLimit } from '../support/memory-limit.ts';
import { createSandbox } from '../support/mount-daemon.ts';

const execFileAsync = promisify(execFile);
const memoryMiB = 192;
const fileMiB = 1024;
const smallFilesCount = longCount(50_000);

for (const dataMode of ['write-through', 'writeback'] as DataMode[]) {
  test(`${fileMiB} MiB and ${smallFilesCount} files pass through ${memoryMiB} MiB of memory (${dataMode})`, {
    skip: needsMemoryLimit(),
    timeout: 600_000,
  }, async (t) => {
    const sandbox = await createSandbox(t);
    mkdirSync(join(sandbox.data, 'small'));
    for (let i = 0; i < smallFilesCount; i++) writeFileSync(join(sandbox.data, `small/${i}`), String(i));
    const moveToGroup = await limitMemory(t, memoryMiB * 2 ** 20);
    const daemon = await sandbox.mount({ dataDirectory: sandbox.data, dataMode, keepMutations: false });
    await moveToGroup(daemon.pid);
    // Numbers, so that what is read back can be told from what was never written.
    const load = [
      `cd "${sandbox.data}"`,
      `seq 1 999999999 | head -c ${fileMiB}M | tee big | sha256sum > written &`,
      'for i in 1 2 3; do find small -type f -size -100c -exec cat {} + | sha256sum; done > small-sums &',
      'wait',
      'sha256sum < big > read-back',
      'cmp written read-back',
      'test "$(sort -u small-sums | wc -l)" = 1',
    ].join('\n');
    const child = spawn('sh', ['-c', 'read go; exec sh -euc "$0"', load], { stdio: ['pipe', 'inherit', 'inherit'] });
    await moveToGroup(child.pid as number);
    child.stdin.end('go\n');
    const [status] = await once(child, 'exit');
    assert.equal(status, 0);
    await daemon.unmount();
    const { stdout } = await execFileAsync('sh', [
      '-c',
      `sha256sum < "${sandbox.data}/big"; cat "${sandbox.data}/written"`,
    ]);
    const [below, written] = stdout.trim().split('\n');
    assert.equal(below, written);
  });
}
