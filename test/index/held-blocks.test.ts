/** Blocks are read from the live files, and never wrong. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { test } from 'node:test';
import { makeFixture, noise, openReporting } from './index-fixture.ts';
import { RecordedDirectory } from './recorded-directory.ts';

for (const readsIdly of [false, true]) {
  test(`blocks are read from wherever they still are, and never wrong${readsIdly ? ', idly too' : ''}`, async (t) => {
    const fixture = await makeFixture(t);
    const directory = new RecordedDirectory(fixture.data);
    const content = noise(1, 4000);
    directory.create('a', content);
    directory.create('b', content);
    const index = await openReporting(fixture, directory, { readsIdly });
    await index.level();
    const [digest] = index.feed.changesAfter(0, 10).gained;
    assert.ok(digest);
    assert.deepEqual(Buffer.from((await index.readBlock(digest)) ?? []), content);
    // Nobody tells the index of these.
    fs.writeFileSync(directory.path('a'), noise(2, 4000));
    assert.deepEqual(Buffer.from((await index.readBlock(digest)) ?? []), content);
    fs.writeFileSync(directory.path('b'), content.subarray(0, 100));
    assert.equal(await index.readBlock(digest), undefined);
    fs.unlinkSync(directory.path('b'));
    fs.unlinkSync(directory.path('a'));
    assert.equal(await index.readBlock(digest), undefined);
    assert.equal(await index.readBlock(new Uint8Array(32)), undefined);
  });
}
