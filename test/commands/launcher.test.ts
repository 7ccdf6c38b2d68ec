/** `bin/covault.mjs`: the right Node, the same signals, the same exit status. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const project = fileURLToPath(new URL('../..', import.meta.url));
const launcher = join(project, 'bin/covault.mjs');

/**
 * A project whose program is `main` and whose pinned Node is this one, and a Node to start the launcher with that
 * says it is version 20.
 */
function oldMachine(t: TestContext, main: string): { launcher: string; old: string[]; directory: string } {
  const directory = mkdtempSync(join(tmpdir(), 'covault-launcher-'));
  t.after(() => rmSync(directory, { recursive: true }));
  cpSync(launcher, join(directory, 'bin/covault.mjs'));
  mkdirSync(join(directory, 'src'));
  writeFileSync(join(directory, 'src/main.ts'), main);
  mkdirSync(join(directory, 'node_modules/node/bin'), { recursive: true });
  symlinkSync(process.execPath, join(directory, 'node_modules/node/bin/node'));
  const pretend = "Object.defineProperty(process.versions, 'node', { value: '20.0.0' })";
  const old = ['--import', `data:text/javascript,${encodeURIComponent(pretend)}`];
  return { directory, launcher: join(directory, 'bin/covault.mjs'), old };
}

test('the program runs in place where Node is new enough', () => {
  const { status, stdout } = spawnSync(process.execPath, [launcher, '--version'], { encoding: 'utf8' });
  assert.equal(status, 0);
  assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
});

test('an older Node hands over to the pinned one, with all words, and ends with its status', (t) => {
  const machine = oldMachine(t, 'console.log(JSON.stringify(process.argv.slice(2))); process.exit(7);');
  const words = ['a b', '--json', ''];
  const run = spawnSync(process.execPath, [...machine.old, machine.launcher, ...words], { encoding: 'utf8' });
  assert.equal(run.stdout, `${JSON.stringify(words)}\n`, run.stderr);
  assert.equal(run.status, 7);
});

test('a signal reaches the program, which decides what to do', async (t) => {
  const main = "process.on('SIGTERM', () => process.exit(9)); console.log('up'); setInterval(() => {}, 1000);";
  const machine = oldMachine(t, main);
  const child = spawn(process.execPath, [...machine.old, machine.launcher]);
  child.stdout.once('data', () => child.kill('SIGTERM'));
  const [code, signal] = await new Promise<unknown[]>((resolve) => child.on('exit', (...end) => resolve(end)));
  assert.deepEqual([code, signal], [9, null]);
});

test('a program that a signal ended looks so from outside', (t) => {
  const machine = oldMachine(t, "process.kill(process.pid, 'SIGKILL');");
  assert.equal(spawnSync(process.execPath, [...machine.old, machine.launcher]).signal, 'SIGKILL');
});

test('without the pinned Node the way to get it is named', (t) => {
  const machine = oldMachine(t, '');
  rmSync(join(machine.directory, 'node_modules'), { recursive: true });
  const run = spawnSync(process.execPath, [...machine.old, machine.launcher], { encoding: 'utf8' });
  assert.equal(run.status, 10);
  assert.match(run.stderr, /^error: .*24[\s\S]*hint: .*npm ci/);
});

test('compiled code is kept where nobody else can write, and nowhere else', (t) => {
  const cache = mkdtempSync(join(tmpdir(), 'covault-launcher-'));
  t.after(() => rmSync(cache, { recursive: true }));
  const env: NodeJS.ProcessEnv = { ...process.env, XDG_CACHE_HOME: cache };
  delete env.NODE_COMPILE_CACHE;
  const compiled = join(cache, 'covault', 'compiled');
  const start = () => assert.equal(spawnSync(process.execPath, [launcher, '--version'], { env }).status, 0);
  start();
  assert.equal(statSync(compiled).mode & 0o777, 0o700);
  assert.ok(readdirSync(compiled).length > 0);
  for (const name of readdirSync(compiled)) rmSync(join(compiled, name), { recursive: true });
  chmodSync(compiled, 0o777);
  start();
  assert.deepEqual(readdirSync(compiled), []);
});
