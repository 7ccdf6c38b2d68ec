/** A writer killed in the midst of its work leaves every sealed snapshot whole and none half-made. */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openLocalBackend } from '../../src/store/local-backend.ts';
import { killedDirectory } from './killed-content.ts';
import { makeTestStore, openTestStore, readDirectory } from './store-fixture.ts';

const writer = fileURLToPath(new URL('endless-writer.ts', import.meta.url));

test('every snapshot that was told as sealed is there after kill -9, at whatever moment', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'covault-kill-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  await makeTestStore(openLocalBackend(directory));
  let last = 0;
  for (const delayMs of [0, 3, 11, 19]) {
    const child = fork(writer, [directory, String(last + 1)], { stdio: 'inherit' });
    t.after(() => child.kill('SIGKILL'));
    const told: number[] = [];
    child.on('message', (number) => told.push(Number(number)));
    const exit = once(child, 'exit');
    await once(child, 'message');
    await sleep(delayMs);
    child.kill('SIGKILL');
    await exit;

    const store = await openTestStore(openLocalBackend(directory));
    assert.deepEqual(store.notices, []);
    const numbers = (await store.listSnapshots()).map(({ id }) => Number.parseInt(id, 16));
    for (const number of told) assert.ok(numbers.includes(number), `snapshot ${number} was told as sealed`);
    for (const { id, root } of await store.listSnapshots()) {
      assert.deepEqual(await readDirectory(store, root.tree), killedDirectory(Number.parseInt(id, 16)));
    }
    assert.equal((await store.check({ readData: true })).ok, true);
    last = Math.max(...numbers);
  }
});

test('two processes that write at once do not harm each other', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'covault-kill-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  await makeTestStore(openLocalBackend(directory));
  const told: number[] = [];
  const children = [1, 1001].map((first) => fork(writer, [directory, String(first)], { stdio: 'inherit' }));
  for (const child of children) {
    t.after(() => child.kill('SIGKILL'));
    child.on('message', (number) => told.push(Number(number)));
  }
  const exits = children.map((child) => once(child, 'exit'));
  // Enough for both to merge index files beside each other.
  while (told.length < 40) await Promise.race(children.map((child) => once(child, 'message')));
  for (const child of children) child.kill('SIGKILL');
  await Promise.all(exits);
  const store = await openTestStore(openLocalBackend(directory));
  assert.deepEqual(store.notices, []);
  const numbers = (await store.listSnapshots()).map(({ id }) => Number.parseInt(id, 16));
  assert.ok(numbers.some((number) => number < 1000) && numbers.some((number) => number > 1000));
  for (const number of told) assert.ok(numbers.includes(number));
  assert.equal((await store.check({ readData: true })).ok, true);
});
