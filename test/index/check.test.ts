/** A check finds what was missed. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimes } from '../../src/fs/native.ts';
import { openTables } from '../../src/index/tables.ts';
import { makeFixture, noise, openReporting, sightOf } from './index-fixture.ts';
import { RecordedDirectory } from './recorded-directory.ts';

test('a check finds what was never reported, says so, and mends it', async (t) => {
  const fixture = await makeFixture(t);
  const directory = new RecordedDirectory(fixture.data);
  directory.makeDirectory('d');
  for (let number = 0; number < 10; number++) directory.create(`d/${number}`, noise(number, 2000));
  const told: string[] = [];
  const onMiss = (path: Uint8Array, what: string) => told.push(`${Buffer.from(path)}: ${what}`);
  const index = await openReporting(fixture, directory, { onMiss });
  assert.deepEqual((await index.check()).differences, []);
  fs.writeFileSync(directory.path('d/unseen'), 'x');
  fs.unlinkSync(directory.path('d/3'));
  fs.chmodSync(directory.path('d/4'), 0o400);
  const { mtimeNs } = fs.statSync(directory.path('d/5'), { bigint: true });
  fs.writeFileSync(directory.path('d/5'), noise(55, 2000));
  setTimes(directory.path('d/5'), undefined, mtimeNs);
  const report = await index.check();
  assert.equal(report.misses, report.differences.length);
  assert.equal(index.status().misses, report.misses);
  assert.equal(told.length, report.misses);
  for (const wanted of ['d/unseen: missing in the index', 'd/3: gone from the directory', 'd/4: other attributes']) {
    assert.ok(told.includes(wanted), `${wanted} is not among ${told}`);
  }
  assert.ok(told.includes('d/5: other content'), `${told}`);
  assert.deepEqual(await sightOf(index), await fixture.fresh());
  assert.equal((await index.check()).misses, 0);
});

test('a rolling check comes to every file, and finds what was changed past the index', async (t) => {
  const fixture = await makeFixture(t);
  const directory = new RecordedDirectory(fixture.data);
  for (let number = 0; number < 12; number++) directory.create(`${number}`, noise(number, 2000));
  const told: string[] = [];
  const onMiss = (path: Uint8Array, what: string) => told.push(`${Buffer.from(path)}: ${what}`);
  const index = await openReporting(fixture, directory, { onMiss });
  await index.level();
  const hashed = index.status().bytesHashed;
  let misses = 0;
  for (let part = 0; part < 8; part++) misses += await index.checkSome(5000);
  assert.equal(misses, 0);
  const { mtimeNs } = fs.statSync(directory.path('7'), { bigint: true });
  fs.writeFileSync(directory.path('7'), noise(70, 2000));
  setTimes(directory.path('7'), undefined, mtimeNs);
  for (let part = 0; part < 8; part++) misses += await index.checkSome(5000);
  assert.equal(misses, 1);
  assert.deepEqual(told, ['7: other content']);
  assert.equal(index.status().misses, 1);
  assert.deepEqual(await sightOf(index), await fixture.fresh());
  assert.equal(index.status().bytesHashed, hashed + 2000);
});

test('a rolling check goes on where it was after a restart, and what was missed is remembered', async (t) => {
  const fixture = await makeFixture(t);
  const directory = new RecordedDirectory(fixture.data);
  for (let number = 0; number < 10; number++) directory.create(`${number}`, noise(number, 2000));
  const first = await openReporting(fixture, directory);
  await first.level();
  await first.checkSome(9000);
  const before = first.status().rolling;
  assert.ok(before.files > 0 && before.files < 10 && before.rounds === 0, JSON.stringify(before));
  await first.close();
  const second = await openReporting(fixture, directory);
  await second.level();
  assert.deepEqual(second.status().rolling, before);
  fs.writeFileSync(directory.path('unseen'), 'x');
  for (let part = 0; second.status().rolling.rounds === 0; part++) {
    assert.ok(part < 10, 'it comes around');
    await second.checkSome(9000);
  }
  // The directory it is in was passed before or not; the next round finds it at the latest.
  for (let part = 0; second.status().misses === 0; part++) {
    assert.ok(part < 10, 'it finds the file');
    await second.checkSome(9000);
  }
  await second.close();
  const third = await openReporting(fixture, directory);
  assert.deepEqual([third.status().misses, third.status().missesOpen], [1, 1]);
  assert.deepEqual((await third.check()).differences, []);
  assert.deepEqual([third.status().misses, third.status().missesOpen], [1, 0]);
});

test('what changes while a check goes on is no miss', async (t) => {
  const fixture = await makeFixture(t);
  const directory = new RecordedDirectory(fixture.data);
  for (let number = 0; number < 5; number++) {
    directory.makeDirectory(`${number}`);
    directory.create(`${number}/file`, noise(number, 2000));
  }
  const index = await openReporting(fixture, directory);
  await index.level();
  let changes = 0;
  const report = await index.check({
    onProgress: () => {
      // Reported when the index asks next, so that listings and contents differ from it until then.
      for (let number = 0; number < 5; number++) {
        directory.create(`${number}/new ${changes++}`, noise(changes, 500));
        directory.write(`${number}/file`, 100, noise(changes, 50));
      }
    },
  });
  assert.ok(changes > 0);
  assert.deepEqual(report.differences, []);
  assert.deepEqual(await sightOf(index), await fixture.fresh());
});

test('a check finds trees and places of blocks that are not as they must be, and mends them', async (t) => {
  const fixture = await makeFixture(t);
  const directory = new RecordedDirectory(fixture.data);
  directory.makeDirectory('d');
  for (let number = 0; number < 4; number++) directory.create(`d/${number}`, noise(number, 30_000));
  const index = await openReporting(fixture, directory);
  await index.level();
  await index.close();
  const place = join(fixture.state, 'index');
  const tables = openTables(place);
  await tables.transaction(() => {
    const [digest] = [...tables.blocks.keys({ limit: 1 })];
    assert.ok(digest);
    for (const value of [...tables.blocks.values(digest)]) tables.blocks.remove(digest, value);
    for (const { key, value } of [...tables.directories.range({})].slice(0, 1)) {
      assert.equal(key.byteLength, 8);
      tables.trees.remove(value);
    }
  });
  await tables.flushed();
  await tables.close();
  // As if it had been so when it was closed.
  fs.rmSync(join(place, 'closed'));
  const again = await openReporting(fixture, directory);
  assert.equal(again.found, 'clean');
  const whats = (await again.check()).differences.map(({ what }) => what).toSorted();
  assert.deepEqual(whats, ['blocks not where the index has them', 'other tree']);
  assert.deepEqual(await sightOf(again), await fixture.fresh());
  assert.deepEqual((await again.check()).differences, []);
});
