/** A cut is of one moment, stays what it is, and comes to an end. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { isCovaultError } from '../../src/core/errors.ts';
import { cutsMax } from '../../src/index/cuts.ts';
import { entriesOf, makeFixture, noise, openReporting, sightOf } from './index-fixture.ts';
import { RecordedDirectory } from './recorded-directory.ts';

test('a cut stays what it was while the directory goes on', async (t) => {
  const fixture = await makeFixture(t);
  const directory = new RecordedDirectory(fixture.data);
  directory.makeDirectory('d');
  for (let number = 0; number < 50; number++) directory.create(`d/${number}`, noise(number, 30_000));
  const index = await openReporting(fixture, directory);
  const cut = await index.openCut();
  const before = await entriesOf(cut);
  directory.rename('d', 'e');
  for (let number = 0; number < 25; number++) directory.remove(`e/${number}`);
  for (let number = 25; number < 50; number++) directory.create(`e/${number}`, noise(number + 100, 30_000));
  const later = await index.openCut();
  assert.notDeepEqual(later.root.tree, cut.root.tree);
  assert.deepEqual(await entriesOf(cut), before);
  for (const entry of before.values()) {
    if (entry.kind !== 'file' || !('recipe' in entry.content)) continue;
    assert.ok(await cut.readObject('recipe', entry.content.recipe));
    assert.equal(await later.readObject('recipe', entry.content.recipe), undefined);
  }
  await cut.close();
  await cut.close();
  await assert.rejects(cut.readObject('tree', cut.root.tree), (error) => isCovaultError(error, 'E_NOT_FOUND'));
  await later.close();
  assert.equal(index.status().openCuts, 0);
});

test('only so many can be open', async (t) => {
  const fixture = await makeFixture(t);
  const index = await fixture.open();
  for (let count = 0; count < cutsMax; count++) await index.openCut();
  await assert.rejects(index.openCut(), (error) => isCovaultError(error, 'E_BUSY'));
});

test('a file that never stops changing does not hold up a cut, and is named', async (t) => {
  const fixture = await makeFixture(t);
  const path = join(fixture.data, 'restless');
  fs.writeFileSync(path, randomBytes(16 * 1024 * 1024));
  fs.writeFileSync(join(fixture.data, 'calm'), noise(2, 5000));
  const index = await fixture.open();
  const stop = new Int32Array(new SharedArrayBuffer(4));
  // A thread of its own, so that it writes whatever the index is doing.
  const writer = new Worker(
    `const { openSync, writeSync } = require('node:fs');
    const { path, stop } = require('node:worker_threads').workerData;
    const fd = openSync(path, 'r+');
    for (let at = 0; Atomics.load(stop, 0) === 0; at = (at + 4096) % 1e7) writeSync(fd, String(at), at);`,
    { eval: true, workerData: { path, stop } },
  );
  const stopped = new Promise((resolve) => writer.once('exit', resolve));
  try {
    const cut = await index.openCut();
    const named = (cut.exceptions ?? []).map((exception) => Buffer.from(exception.path).toString());
    assert.deepEqual(named, ['restless']);
    const entry = (await entriesOf(cut)).get('restless');
    assert.ok(entry?.kind === 'file' && 'recipe' in entry.content);
    assert.ok(await cut.readObject('recipe', entry.content.recipe));
    await cut.close();
  } finally {
    Atomics.store(stop, 0, 1);
    await stopped;
  }
  const calm = await index.openCut();
  assert.deepEqual(calm.exceptions, []);
  await calm.close();
  assert.deepEqual(await sightOf(index), await fixture.fresh());
});

test('waiting for one can be interrupted', async (t) => {
  const fixture = await makeFixture(t);
  fs.writeFileSync(join(fixture.data, 'file'), noise(1, 100_000));
  const never = Promise.withResolvers<void>();
  const index = await fixture.open({ settle: () => never.promise });
  const interruption = new AbortController();
  const cut = index.openCut({ signal: interruption.signal });
  setTimeout(() => {
    interruption.abort();
    never.resolve();
  }, 50);
  await assert.rejects(cut, (error) => isCovaultError(error, 'E_INTERRUPTED'));
});

test('a closed index refuses instead of waiting for ever', async (t) => {
  const fixture = await makeFixture(t);
  fs.writeFileSync(join(fixture.data, 'file'), noise(1, 100_000));
  const settled = Promise.withResolvers<void>();
  const index = await fixture.open({ settle: () => settled.promise });
  await index.scan();
  const waiting = index.openCut();
  const closed = index.close();
  settled.resolve();
  const interrupted = (error: unknown) => isCovaultError(error, 'E_INTERRUPTED');
  await assert.rejects(waiting, interrupted);
  await closed;
  await assert.rejects(index.level(), interrupted);
  await assert.rejects(index.scan(), interrupted);
  assert.equal(await index.readBlock(new Uint8Array(32)), undefined);
});
