/** What would end badly is refused before anything is changed, with a sentence that names it. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { defaultCutParameters } from '../../src/core/domain.ts';
import { openLocalBackend } from '../../src/store/local-backend.ts';
import { createStore } from '../../src/store/store.ts';
import { makeStage, password, type Stage } from './stage.ts';

async function refused(stage: Stage, words: string[], status: number, message: RegExp): Promise<void> {
  const { exitCode, last } = await stage.run(words);
  assert.equal(exitCode, status, JSON.stringify(last));
  assert.equal(last.type, 'error');
  assert.match(String(last.message), message);
  const mounts = readFileSync('/proc/self/mounts', 'utf8');
  assert.equal(mounts.includes(stage.directory), false, 'nothing is mounted');
}

async function makeStore(directory: string): Promise<void> {
  mkdirSync(dirname(directory), { recursive: true });
  const domain = { id: '0'.repeat(32), digestKey: new Uint8Array(32), cut: defaultCutParameters };
  const kdf = { memoryKiB: 64, passes: 1, parallelism: 1 };
  await (await createStore({ backend: openLocalBackend(directory), password, domain, kdf })).close();
}

test('a mount over, around or within its own state is refused', async (t) => {
  const stage = makeStage(t);
  const state = stage.path('a', 'state');
  mkdirSync(join(state, 'within'), { recursive: true });
  for (const data of [state, stage.path('a'), join(state, 'within')]) {
    await refused(stage, ['mount', data, '--state', state], 2, /lie within each other/);
  }
});

test('a mount over or within a store is refused, one over a directory that only looks like one is not', async (t) => {
  const stage = makeStage(t);
  const store = stage.path('store');
  await makeStore(store);
  const data = stage.path('data');
  mkdirSync(data);
  const state = ['--state', stage.path('state')];
  await refused(stage, ['mount', store, ...state], 2, /is in the store/);
  await refused(stage, ['mount', join(store, 'packs'), ...state], 2, /is in the store/);
  await refused(stage, ['mount', data, '--at', store, ...state], 2, /is in the store/);
  writeFileSync(join(data, 'config'), '[core]\n');
  const daemon = await stage.start(['mount', data, ...state]);
  await daemon.stop();
});

test('a second daemon is kept out of a state directory and of a data directory that is mounted', async (t) => {
  const stage = makeStage(t);
  const [data, other] = [stage.path('data'), stage.path('other')];
  for (const path of [data, other]) mkdirSync(path);
  const state = stage.path('state');
  const daemon = await stage.start(['mount', data, '--state', state]);
  const same = await stage.run(['mount', other, '--state', state]);
  assert.deepEqual([same.exitCode, same.last.code], [6, 'E_BUSY']);
  const over = await stage.run(['mount', data, '--state', stage.path('state-2')]);
  assert.notEqual(over.exitCode, 0, 'a mount over the mount is refused');
  writeFileSync(join(data, 'still'), 'there');
  assert.equal((await daemon.stop()).exitCode, 130);
  assert.equal(readFileSync(join(data, 'still'), 'utf8'), 'there');
});

test('a directory that does not exist, is a file, or cannot be mounted at is named', async (t) => {
  const stage = makeStage(t);
  const file = stage.path('file');
  writeFileSync(file, '');
  const state = ['--state', stage.path('state')];
  await refused(stage, ['mount', stage.path('nowhere'), ...state], 4, /nowhere/);
  await refused(stage, ['mount', file, ...state], 2, /file/);
  await refused(stage, ['unmount', stage.path(), ...state], 4, /no covault mount/);
});

test('without a store, a daemon, or a domain, it is said what is missing', async (t) => {
  const stage = makeStage(t);
  const state = ['--state', stage.path('state')];
  await refused(stage, ['snapshots', stage.path('no-store')], 4, /no store/);
  await refused(stage, ['status', ...state], 4, /no daemon/);
  await refused(stage, ['snapshot', 'laptop', '--to', stage.path('store'), ...state], 2, /joined no domain/);
  assert.equal(existsSync(stage.path('store')), false, 'no store was made');
});
