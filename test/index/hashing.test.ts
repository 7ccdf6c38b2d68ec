/** What is hashed after a change, and what is not. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { entriesOf, makeFixture, noise, openReporting, sightOf, testDomain } from './index-fixture.ts';
import { RecordedDirectory } from './recorded-directory.ts';

const { maxBytes } = testDomain.cut;

test('renaming and moving a directory hashes nothing', async (t) => {
  const fixture = await makeFixture(t);
  const directory = new RecordedDirectory(fixture.data);
  directory.makeDirectory('a');
  directory.makeDirectory('a/b');
  directory.makeDirectory('c');
  for (let number = 0; number < 300; number++) directory.create(`a/b/${number}`, noise(number, 3000));
  const index = await openReporting(fixture, directory);
  const before = await sightOf(index);
  const hashed = index.status().bytesHashed;
  directory.rename('a', 'c/moved');
  directory.rename('c/moved/b/7', 'c/seven');
  const after = await sightOf(index);
  assert.notEqual(after.root, before.root);
  assert.deepEqual(after.holdings, before.holdings);
  assert.deepEqual(after, await fixture.fresh());
  assert.equal(index.status().bytesHashed, hashed);
});

test('changed attributes hash nothing, not even after the next start', async (t) => {
  const fixture = await makeFixture(t);
  const directory = new RecordedDirectory(fixture.data);
  for (let number = 0; number < 20; number++) directory.create(`${number}`, noise(number, 5000));
  const index = await openReporting(fixture, directory);
  await index.level();
  const hashed = index.status().bytesHashed;
  for (let number = 0; number < 20; number++) directory.changeMode(`${number}`, 0o600);
  directory.setTime('3', 1_000_000);
  directory.setXattr('4', 'user.x', 'y');
  assert.deepEqual(await sightOf(index), await fixture.fresh());
  assert.equal(index.status().bytesHashed, hashed);
  // Beyond what a stamp takes for too close, so that the start is not allowed to guess.
  await new Promise((resolve) => setTimeout(resolve, 2100));
  await index.level();
  await index.close();
  const again = await openReporting(fixture, directory);
  assert.deepEqual(await sightOf(again), await fixture.fresh());
  assert.equal(again.found, 'clean');
  assert.equal(again.status().bytesHashed, 0);
});

test('a small write into a large file hashes a few blocks', async (t) => {
  const fixture = await makeFixture(t);
  const directory = new RecordedDirectory(fixture.data);
  directory.create('large', noise(1, 3_000_000));
  const index = await openReporting(fixture, directory);
  await index.level();
  const hashed = index.status().bytesHashed;
  directory.write('large', 1_000_000, noise(2, 4096));
  directory.write('large', 2_000_000, noise(3, 4096));
  assert.deepEqual(await sightOf(index), await fixture.fresh());
  const again = index.status().bytesHashed - hashed;
  assert.ok(again > 0 && again <= 6 * maxBytes, `${again} bytes were hashed`);
});

test('bytes inserted into a file leave nearly all of its blocks as they are', async (t) => {
  const fixture = await makeFixture(t);
  const directory = new RecordedDirectory(fixture.data);
  const content = noise(1, 2_000_000);
  directory.create('file', content);
  const index = await openReporting(fixture, directory);
  await index.level();
  const sequence = index.feed.lastSequence();
  directory.create('file', Buffer.concat([content.subarray(0, 700_000), noise(2, 100), content.subarray(700_000)]));
  await index.level();
  const { gained, lost } = index.feed.changesAfter(sequence, 1000);
  // A block or two, and the recipe.
  assert.ok(gained.length >= 2 && gained.length <= 5, `${gained.length} digests gained`);
  assert.ok(lost.length >= 2 && lost.length <= 5, `${lost.length} digests lost`);
});

test('a file of a terabyte of holes is read in no time', async (t) => {
  const fixture = await makeFixture(t);
  fs.writeFileSync(join(fixture.data, 'sparse'), noise(1, 2000));
  fs.truncateSync(join(fixture.data, 'sparse'), 2 ** 40);
  const index = await fixture.open();
  const cut = await index.openCut();
  const entry = (await entriesOf(cut)).get('sparse');
  assert.ok(entry?.kind === 'file' && 'segments' in entry.content);
  assert.equal(entry.size, 2 ** 40);
  assert.deepEqual(entry.content.segments.at(-1), { length: 2 ** 40 - 2048 });
  assert.equal(index.status().bytesHashed, 2048);
  await cut.close();
});

test('a file of which parts were read again is read as a whole when anything may have changed', async (t) => {
  const fixture = await makeFixture(t);
  const directory = new RecordedDirectory(fixture.data);
  directory.create('file', noise(1, 200_000));
  directory.take();
  const index = await openReporting(fixture, directory);
  await index.level();
  directory.write('file', 10_000, noise(2, 100));
  directory.take();
  directory.write('file', 150_000, noise(3, 100));
  // One write is told now, the other only as "something in here", long after.
  index.consume(directory.take());
  const hashed = index.status().bytesHashed;
  while (index.status().bytesHashed === hashed || index.status().filesDirty > 0) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await new Promise((resolve) => setTimeout(resolve, 2200));
  index.consume([{ kind: 'subtree', inode: directory.inode('') }]);
  assert.deepEqual(await sightOf(index), await fixture.fresh());
});
