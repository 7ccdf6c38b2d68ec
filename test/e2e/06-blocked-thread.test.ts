/** Requests of the live mount are answered by native threads: a JavaScript thread that hangs does not hold them up. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Mutation } from '../../src/core/mutation.ts';
import { type MountSession, mountDataDirectory } from '../../src/fs/session.ts';

/** Everything an application does with files, again and again, until it is told to stop; prints how often. */
const application = `
  import * as fs from 'node:fs';
  const [directory, stopFile] = process.argv.slice(1);
  process.stdout.write('started\\n');
  let rounds = 0;
  while (!fs.existsSync(stopFile)) {
    const path = directory + '/file-' + (rounds % 50);
    fs.writeFileSync(path, 'x'.repeat(10_000) + rounds);
    if (!fs.readFileSync(path, 'utf8').endsWith('x' + rounds)) throw new Error('read something else');
    fs.renameSync(path, path + '.renamed');
    fs.statSync(path + '.renamed');
    fs.mkdirSync(path + '.directory');
    fs.readdirSync(directory);
    fs.rmdirSync(path + '.directory');
    fs.unlinkSync(path + '.renamed');
    rounds += 1;
  }
  process.stdout.write(rounds + '\\n');
`;

function startApplication(t: TestContext, mountpoint: string, stopFile: string): ChildProcess {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', application, mountpoint, stopFile], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  return child;
}

function requestsOf(session: MountSession): number {
  return Object.values(session.counters().requests).reduce((sum, count) => sum + count, 0);
}

/** Holds this thread, and nothing else of the process, up. */
function block(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

test('files are written and read while the JavaScript thread of the mount is blocked for a second', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'covault-blocked-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const data = join(directory, 'data');
  mkdirSync(data);
  const mutations: Mutation[] = [];
  const session = await mountDataDirectory({
    dataDirectory: data,
    keepOut: [],
    onMutations: (batch) => void mutations.push(...batch),
  });
  t.after(() => session.dispose());

  const stopFile = join(directory, 'stop');
  const child = startApplication(t, data, stopFile);
  assert.ok(child.stdout);
  await once(child.stdout, 'data');
  const before = requestsOf(session);
  const seen = mutations.length;
  block(1000);
  // Nothing has run on this thread since: the difference is the work of the native threads alone.
  const during = requestsOf(session) - before;
  assert.equal(mutations.length, seen, 'no mutation was delivered meanwhile');
  mkdirSync(stopFile);
  const [rounds] = await once(child.stdout, 'data');
  await once(child, 'exit');
  assert.equal(child.exitCode, 0);
  assert.ok(Number(String(rounds)) > 0);
  assert.ok(during > 100, `${during} requests were answered while the thread was blocked`);

  await session.settle();
  const created = mutations.filter(({ kind }) => kind === 'create').length;
  const renamed = mutations.filter(({ kind }) => kind === 'rename').length;
  const isCoarse = mutations.some(({ kind }) => kind === 'inode' || kind === 'subtree');
  assert.ok(
    isCoarse || (created >= Number(rounds) && renamed >= Number(rounds)),
    'and every mutation came out after it',
  );
  await session.unmount();
  assert.deepEqual(readdirSync(data), []);
  assert.equal(readFileSync('/proc/self/mounts', 'utf8').includes(directory), false);
});
