/** No request of a live mount waits for JavaScript: it goes on while the daemon's thread does not. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { loadAddon } from '../../src/fs/addon.ts';
import type { DataMode } from '../../src/fs/session.ts';
import { createSandbox } from '../support/mount-daemon.ts';
import { needsMount } from '../support/requirements.ts';

const skip = needsMount();

/** Nothing here takes so long unless it waits for the thread that is blocked. */
const blockedMs = 40_000;

/**
 * Makes, writes, syncs, reads, renames, lists and removes files again and again until it is told to stop, in a process of
 * its own; says how often on its last line.
 */
const worker = `
  const fs = require('node:fs');
  const { join } = require('node:path');
  const directory = process.argv[1];
  let rounds = 0;
  const round = () => {
    const [name, other] = [join(directory, 'file' + rounds), join(directory, 'other' + rounds)];
    const content = Buffer.alloc(50000, rounds);
    fs.mkdirSync(join(directory, 'd'));
    const fd = fs.openSync(name, 'w+');
    fs.writeSync(fd, content);
    fs.fsyncSync(fd);
    fs.closeSync(fd);
    fs.renameSync(name, other);
    fs.linkSync(other, name);
    fs.utimesSync(other, 1, rounds);
    if (!fs.readFileSync(name).equals(content)) throw new Error('read back something else');
    if (fs.statSync(other).mtimeMs !== rounds * 1000) throw new Error('another time');
    if (fs.readdirSync(directory).length !== 3) throw new Error('another listing');
    fs.unlinkSync(name);
    fs.unlinkSync(other);
    fs.rmdirSync(join(directory, 'd'));
    rounds++;
  };
  process.stdin.resume().once('end', () => { console.log(rounds); process.exit(0); });
  const next = () => { round(); setImmediate(next); };
  round();
  console.log('started');
  next();
`;

async function startWorker(t: TestContext, directory: string) {
  const child = spawn(process.execPath, ['-e', worker, directory], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  await once(child.stdout, 'data');
  return {
    /** Ends it and gives its number of rounds. */
    async stop(): Promise<number> {
      const exit = once(child, 'close');
      child.stdin.end();
      const [status] = await exit;
      assert.equal(status, 0, 'the worker met an error');
      return Number(said.trim().split('\n').at(-1));
    },
  };
}

for (const dataMode of ['write-through', 'writeback'] satisfies DataMode[]) {
  test(`files are written and read while JavaScript is blocked (${dataMode})`, { skip }, async (t) => {
    const sandbox = await createSandbox(t);
    const daemon = await sandbox.mount({ dataDirectory: sandbox.data, dataMode });
    let isBlocked = true;
    const goOn = join(sandbox.path, 'go-on');
    const blocked = daemon.block(blockedMs, goOn).then(() => {
      isBlocked = false;
    });
    // It starts, works and ends while the daemon's thread does nothing at all.
    const running = await startWorker(t, sandbox.data);
    const rounds = await running.stop();
    assert.ok(isBlocked, 'the work did not wait for the daemon');
    assert.ok(rounds >= 1);
    await writeFile(goOn, '');
    await blocked;
    const mutations = await daemon.settle();
    const created = mutations.filter(({ kind }) => kind === 'create').length;
    assert.equal(created, rounds * 2, 'what happened meanwhile is delivered afterwards');
  });
}

test('a flush of the mount does not wait for JavaScript', { skip }, async (t) => {
  const sandbox = await createSandbox(t);
  const daemon = await sandbox.mount({ dataDirectory: sandbox.data, dataMode: 'writeback' });
  let isBlocked = true;
  const goOn = join(sandbox.path, 'go-on');
  const blocked = daemon.block(blockedMs, goOn).then(() => {
    isBlocked = false;
  });
  await writeFile(join(sandbox.data, 'file'), 'x'.repeat(5_000_000));
  await loadAddon().syncMount(sandbox.data);
  assert.ok(isBlocked);
  await writeFile(goOn, '');
  await blocked;
});
