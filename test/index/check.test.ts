/** A check finds what was missed. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { test } from 'node:test';
import { setTimes } from '../../src/fs/native.ts';
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
