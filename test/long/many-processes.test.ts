/** 64 processes at once in one directory, for COVAULT_LONG_SECONDS (half a minute) in each data mode. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { DataMode } from '../../src/fs/session.ts';
import { longDurationMs, longSeed } from '../support/long-run.ts';
import { createSandbox } from '../support/mount-daemon.ts';
import { needsMount } from '../support/requirements.ts';

const execFileAsync = promisify(execFile);
const script = fileURLToPath(new URL('../support/busy_process.py', import.meta.url));
const processesCount = 64;

for (const dataMode of ['write-through', 'writeback'] as DataMode[]) {
  test(`${processesCount} processes at once find what they left (${dataMode})`, { skip: needsMount() }, async (t) => {
    const sandbox = await createSandbox(t);
    const daemon = await sandbox.mount({ dataDirectory: sandbox.data, dataMode, keepMutations: false });
    const seconds = String(longDurationMs(30) / 1000);
    const appended = await Promise.all(
      Array.from({ length: processesCount }, async (_, i) => {
        const { stdout } = await execFileAsync('python3', [
          script,
          sandbox.data,
          `p${i}`,
          seconds,
          String(longSeed() + i),
        ]);
        return Number(stdout);
      }),
    );
    const sum = appended.reduce((a, b) => a + b, 0);
    const { threadsPeak, requests } = await daemon.counters();
    const requestsCount = Object.values(requests).reduce((a, b) => a + b, 0);
    process.stdout.write(`${sum} lines appended, ${requestsCount} requests, at most ${threadsPeak} threads\n`);
    await daemon.unmount();
    const lines = (await readFile(join(sandbox.data, 'lines'), 'utf8')).trimEnd().split('\n');
    assert.equal(lines.length, sum);
    for (const [i, count] of appended.entries()) {
      const own = lines.filter((line) => line.startsWith(`p${i} `));
      assert.deepEqual(
        own,
        Array.from({ length: count }, (_, line) => `p${i} ${line}`),
        'each line once, in order',
      );
    }
  });
}
