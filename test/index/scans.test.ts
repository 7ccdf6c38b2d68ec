/** A scan finds what changed without being told, can be interrupted, and goes well with what is told meanwhile. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isCovaultError } from '../../src/core/errors.ts';
import { makeFixture, noise, openReporting, sightOf } from './index-fixture.ts';
import { RecordedDirectory } from './recorded-directory.ts';

test('scans can be interrupted and go on', async (t) => {
  const fixture = await makeFixture(t);
  for (let outer = 0; outer < 40; outer++) {
    fs.mkdirSync(join(fixture.data, `${outer}`));
    for (let inner = 0; inner < 10; inner++)
      fs.writeFileSync(join(fixture.data, `${outer}`, `${inner}`), noise(inner, 100));
  }
  const index = await fixture.open();
  const interruption = new AbortController();
  const scan = index.scan({ signal: interruption.signal, onProgress: () => interruption.abort() });
  await assert.rejects(scan, (error) => isCovaultError(error, 'E_INTERRUPTED'));
  assert.equal(index.status().isLevel, false);
  const report = await index.scan();
  assert.deepEqual([report.found, report.directories, report.files, report.bytes], ['fresh', 41, 400, 40_000]);
  assert.deepEqual(await sightOf(index), await fixture.fresh());
  assert.equal(index.status().isLevel, true);
});

test('scans find what changed while the index was closed, and hash only that', async (t) => {
  const fixture = await makeFixture(t);
  const directory = new RecordedDirectory(fixture.data);
  for (let number = 0; number < 30; number++) directory.create(`${number}`, noise(number, 2000));
  const index = await openReporting(fixture, directory);
  await new Promise((resolve) => setTimeout(resolve, 2100));
  await index.level();
  await index.close();
  directory.write('3', 500, noise(99, 10));
  directory.remove('4');
  directory.rename('5', 'five');
  directory.makeDirectory('d');
  directory.create('d/new', noise(77, 1000));
  directory.take();
  const again = await openReporting(fixture, directory);
  const report = await again.scan();
  assert.equal(report.found, 'clean');
  // The written, the renamed (its ctime is new) and the new one.
  assert.equal(report.filesChanged, 3);
  assert.deepEqual(await sightOf(again), await fixture.fresh());
  assert.equal(again.status().bytesHashed, 5000);
});

test('scans take in what is reported while they run', async (t) => {
  const fixture = await makeFixture(t);
  const directory = new RecordedDirectory(fixture.data);
  for (let outer = 0; outer < 60; outer++) {
    directory.makeDirectory(`${outer}`);
    for (let inner = 0; inner < 10; inner++) directory.create(`${outer}/${inner}`, noise(inner, 300));
  }
  directory.take();
  const index = await openReporting(fixture, directory);
  const scan = index.scan();
  for (let number = 0; number < 60; number += 3) {
    directory.rename(`${number}`, `moved-${number}`);
    directory.remove(`moved-${number}/5`);
    directory.create(`moved-${number}/new`, noise(number, 700));
    directory.rename(`${number + 1}/1`, `moved-${number}/one`);
    index.consume(directory.take());
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await scan;
  assert.deepEqual(await sightOf(index), await fixture.fresh());
});
