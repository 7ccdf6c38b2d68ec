/** Names and contents that a scan must not lose: of what was moved while nobody told, or moves while it runs. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { test } from 'node:test';
import type { Clock } from '../../src/core/clock.ts';
import type { LiveIndex } from '../../src/index/live-index.ts';
import { makeFixture, noise, openReporting, sightOf } from './index-fixture.ts';
import { RecordedDirectory } from './recorded-directory.ts';

test('a file that was moved out of a directory which was then removed stays', async (t) => {
  const fixture = await makeFixture(t);
  const directory = new RecordedDirectory(fixture.data);
  // Of an inode's places the one in the directory of the lower number comes first.
  for (const name of ['a', 'b']) directory.makeDirectory(name);
  const [from, to] = directory.inode('a') < directory.inode('b') ? ['a', 'b'] : ['b', 'a'];
  directory.create(`${from}/file`, noise(1, 3000));
  directory.makeDirectory(`${from}/below`);
  directory.create(`${from}/below/file`, noise(2, 3000));
  const index = await openReporting(fixture, directory);
  await index.level();
  await index.close();
  directory.rename(`${from}/file`, `${to}/moved`);
  directory.rename(`${from}/below/file`, `${to}/moved-too`);
  fs.rmSync(directory.path(from as string), { recursive: true });
  directory.take();
  const again = await openReporting(fixture, directory);
  assert.deepEqual(await sightOf(again), await fixture.fresh());
});

/** More directories than are asked for at once; those at the end of the alphabet are listed first. */
const directories = ['a', 'y', 'z', ...Array.from({ length: 140 }, (_, number) => `m${number}`)];

/** Each look at the clock finds that time has passed, so that progress is told after each piece of work. */
function hurriedClock(): Clock {
  let ms = 0;
  return { nowMs: () => Date.now(), monotonicMs: () => (ms += 200) };
}

/** Changes the content, and keeps size and modification time. */
function change(directory: RecordedDirectory, path: string): void {
  const { mtime } = directory.stat(path);
  directory.write(path, 100, noise(7, 50));
  fs.utimesSync(directory.path(path), mtime, mtime);
}

/** What is done while the index is closed. */
function changeUntold(directory: RecordedDirectory): void {
  directory.create('a/changed/below/new', noise(2, 3000));
  for (const path of ['a/file', 'a/changed/file']) change(directory, path);
  directory.rename('a/known-elsewhere', 'a/renamed');
  directory.create('a/renamed/new', noise(3, 3000));
  directory.take();
}

/** From where was not listed yet to where was. */
function movePastScan(directory: RecordedDirectory): void {
  for (const name of ['file', 'same', 'changed']) directory.rename(`a/${name}`, `z/${name}`);
  directory.exchange('a/renamed', 'y');
}

for (const told of ['at once', 'when all is listed', 'after the scan'] as const) {
  test(`what moves past a scan, told ${told}, keeps what is in it, and what changed there is found`, async (t) => {
    const fixture = await makeFixture(t);
    const directory = new RecordedDirectory(fixture.data);
    for (const name of [...directories, 'a/same', 'a/changed', 'a/changed/below', 'a/known-elsewhere'])
      directory.makeDirectory(name);
    for (const path of ['a/file', 'a/same/file', 'a/changed/file']) directory.create(path, noise(1, 3000));
    const first = await fixture.open();
    await first.level();
    await first.close();
    changeUntold(directory);
    const opened: { index?: LiveIndex } = {};
    const tell = () => opened.index?.consume(directory.take());
    const index = await fixture.open({ clock: hurriedClock(), settle: async () => tell() });
    opened.index = index;
    let hasMoved = false;
    await index.scan({
      onProgress({ directories, directoriesWaiting }) {
        if (told === 'when all is listed' && directoriesWaiting === 0) tell();
        if (hasMoved || directories <= 1) return;
        hasMoved = true;
        assert.ok(directoriesWaiting > 0);
        movePastScan(directory);
        if (told === 'at once') tell();
      },
    });
    assert.ok(hasMoved);
    assert.deepEqual(await sightOf(index), await fixture.fresh());
  });
}

test('a scan that is interrupted takes nothing along that mutations wanted to have listed', async (t) => {
  const fixture = await makeFixture(t);
  const directory = new RecordedDirectory(fixture.data);
  for (const name of directories) directory.makeDirectory(name);
  const index = await openReporting(fixture, directory);
  await index.level();
  directory.create('a/new', noise(1, 3000));
  directory.take();
  const { mutations } = index.status();
  index.consume([{ kind: 'subtree', inode: directory.inode('') }]);
  while (index.status().mutations === mutations) await new Promise((resolve) => setImmediate(resolve));
  const interruption = new AbortController();
  await assert.rejects(index.scan({ signal: interruption.signal, onProgress: () => interruption.abort() }));
  assert.deepEqual(await sightOf(index), await fixture.fresh());
});

test('a clean stop vouches for no content that was still to be looked for', async (t) => {
  const fixture = await makeFixture(t);
  const directory = new RecordedDirectory(fixture.data);
  for (let number = 0; number < 700; number++) directory.makeDirectory(`m${number}`);
  directory.makeDirectory('a');
  directory.create('a/file', noise(1, 3000));
  directory.take();
  const index = await openReporting(fixture, directory);
  await index.level();
  change(directory, 'a/file');
  directory.take();
  // Until no later change could have left the same times.
  await new Promise((resolve) => setTimeout(resolve, 2100));
  // What a full log makes of it.
  index.consume([
    { kind: 'attributes', inode: directory.inode('a/file') },
    { kind: 'subtree', inode: directory.inode('') },
  ]);
  await index.close();
  const again = await openReporting(fixture, directory);
  assert.equal(again.found, 'clean');
  assert.deepEqual(await sightOf(again), await fixture.fresh());
});
