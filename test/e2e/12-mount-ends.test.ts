/** However a daemon ends while others write, what it had accepted is in the data directory. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { readFile, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Daemon, runCovaultWell, startCovault } from '../../scripts/covault-process.ts';
import { ownDirectory } from '../support/own-directory.ts';
import { needsMount } from '../support/requirements.ts';
import { missingRecords } from '../support/written-records.ts';

const writingProcess = fileURLToPath(new URL('../support/writing-process.ts', import.meta.url));
const writersCount = 4;
/** How long they write before the daemon ends, milliseconds. */
const loadMs = 1500;

interface Written {
  name: string;
  accepted: number;
  synced: number;
  error: string;
}

class Scene {
  readonly path: string;
  readonly data: string;
  readonly state: string;
  readonly dataMode: string;
  constructor(t: TestContext, dataMode: string) {
    this.path = ownDirectory(t, 'covault-ends-');
    this.data = join(this.path, 'data');
    this.state = join(this.path, 'state');
    this.dataMode = dataMode;
    mkdirSync(this.data);
  }

  async mount(): Promise<Daemon> {
    return startCovault(['mount', this.data, '--state', this.state, '--data-mode', this.dataMode]);
  }

  /** Starts processes that write; the promises resolve when they failed. */
  async startWriters(): Promise<Promise<Written>[]> {
    const writers = Array.from({ length: writersCount }, (_, i) => {
      const name = `writer-${i}`;
      // Within the mount: after it has left its place they go on there, not in the plain directory.
      const child = spawn(process.execPath, [writingProcess, '.', name], {
        cwd: this.data,
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      return { name, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator](), child };
    });
    for (const { lines } of writers) assert.equal((await lines.next()).value, 'writing');
    return writers.map(async ({ name, lines, child }) => {
      const written = { name, ...JSON.parse(String((await lines.next()).value)) };
      await ended(child);
      return written;
    });
  }

  async isMounted(): Promise<boolean> {
    return (await readFile('/proc/self/mountinfo', 'utf8')).includes(` ${await realpath(this.path)}/data `);
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}

for (const dataMode of ['write-through', 'writeback']) {
  test(`stopped by SIGTERM under load, a daemon loses nothing that was accepted (${dataMode})`, {
    skip: needsMount(),
    timeout: 120_000,
  }, async (t) => {
    const scene = new Scene(t, dataMode);
    const daemon = await scene.mount();
    const writers = await scene.startWriters();
    await delay(loadMs);
    const { exitCode, standardError } = await daemon.stop('SIGTERM');
    assert.equal(exitCode, 130, standardError);
    const all = await Promise.all(writers);
    assert.equal(await scene.isMounted(), false);
    for (const { name, accepted, error } of all) {
      assert.ok(accepted > 0);
      t.diagnostic(`${name}: ${accepted} records accepted, then ${error}`);
      assert.deepEqual(missingRecords(scene.data, name, accepted).slice(0, 10), [], `${name}, ended by ${error}`);
    }
  });

  test(`killed under load, a daemon can mount again at once and has what was synced (${dataMode})`, {
    skip: needsMount(),
    timeout: 120_000,
  }, async (t) => {
    const scene = new Scene(t, dataMode);
    const daemon = await scene.mount();
    const writers = await scene.startWriters();
    await delay(loadMs);
    await daemon.stop('SIGKILL');
    const again = await scene.mount();
    for (const { name, accepted, synced, error } of await Promise.all(writers)) {
      t.diagnostic(`${name}: ${accepted} records accepted, ${synced} synced, then ${error}`);
      assert.ok(synced > 0);
      const safe = dataMode === 'writeback' ? synced : accepted;
      assert.deepEqual(missingRecords(scene.data, name, safe).slice(0, 10), [], `${name}, ended by ${error}`);
    }
    await runCovaultWell(['unmount', scene.data, '--state', scene.state]);
    assert.equal((await again.finished).exitCode, 0);
  });
}
