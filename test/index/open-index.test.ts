/** What an index is worth when it is opened: after a kill, damaged, of another domain or directory. */
import assert from 'node:assert/strict';
import { execFile, fork } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { isCovaultError } from '../../src/core/errors.ts';
import { needsRoot } from '../support/requirements.ts';
import { type Fixture, makeFixture, noise, sightOf, testDomain } from './index-fixture.ts';

async function withFiles(fixture: Fixture): Promise<void> {
  fs.mkdirSync(join(fixture.data, 'd'));
  for (let number = 0; number < 40; number++)
    fs.writeFileSync(join(fixture.data, 'd', `${number}`), noise(number, 9000));
  const index = await fixture.open();
  await index.level();
  await index.close();
}

test('an index that was killed at any moment converges to what a fresh one says', { timeout: 120_000 }, async (t) => {
  const fixture = await makeFixture(t);
  await withFiles(fixture);
  for (let round = 0; round < 4; round++) {
    const child = fork(new URL('./crash-child.ts', import.meta.url), { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    t.after(() => child.kill('SIGKILL'));
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.send({ data: fixture.data, state: fixture.state });
    await Promise.race([new Promise((resolve) => child.once('message', resolve)), exited]);
    await new Promise((resolve) => setTimeout(resolve, 50 + round * 170));
    assert.equal(child.exitCode, null, 'the child ended on its own');
    child.kill('SIGKILL');
    await exited;
    const index = await fixture.open();
    assert.equal(index.found, 'unclean');
    assert.deepEqual(await sightOf(index), await fixture.fresh());
    assert.equal((await index.check()).misses, 0);
    await index.close();
  }
});

test('an index closed cleanly says so, and one left open does not', async (t) => {
  const fixture = await makeFixture(t);
  await withFiles(fixture);
  const first = await fixture.open();
  assert.deepEqual([first.found, first.notice], ['clean', undefined]);
  await first.level();
  const history = first.feed.history();
  const sequence = first.feed.lastSequence();
  await first.close();
  await first.close();
  const second = await fixture.open();
  assert.equal(second.found, 'clean');
  assert.equal(second.feed.history(), history);
  assert.equal(second.feed.lastSequence(), sequence);
});

/**
 * What is left when the power goes after LMDB described a commit and before the disk got its pages: a first or second
 * page that is newer than what was flushed, and speaks of pages that are not there.
 */
function describeMissingCommit(path: string): void {
  const at = { pageBytes: 48, flags: 52, root: 136, lastPage: 144, transaction: 152 };
  const bytes = fs.readFileSync(path);
  const pageBytes = bytes.readUInt32LE(at.pageBytes);
  const transactionOf = (page: number) => bytes.readBigUInt64LE(page + at.transaction);
  const newest = transactionOf(0) > transactionOf(pageBytes) ? 0 : pageBytes;
  const older = pageBytes - newest;
  const overlappingSync = 0x1000;
  bytes.copy(bytes, older, newest, newest + at.transaction + 16);
  bytes.writeBigUInt64LE(bytes.readBigUInt64LE(newest + at.transaction) + 1n, older + at.transaction);
  bytes.writeUInt16LE(bytes.readUInt16LE(older + at.flags) | overlappingSync, older + at.flags);
  const missing = BigInt(bytes.byteLength / pageBytes) + 100n;
  bytes.writeBigUInt64LE(missing, older + at.root);
  bytes.writeBigUInt64LE(missing, older + at.lastPage);
  fs.writeFileSync(path, bytes);
}

describe('damage', () => {
  const dataFile = (fixture: Fixture) => join(fixture.state, 'index', 'data.mdb');

  test('a file cut short is found before it is used, set aside, and the index made anew', async (t) => {
    const fixture = await makeFixture(t);
    await withFiles(fixture);
    fs.truncateSync(dataFile(fixture), fs.statSync(dataFile(fixture)).size - 8192);
    const index = await fixture.open();
    assert.equal(index.found, 'damaged');
    assert.match(index.notice ?? '', /made anew/);
    assert.ok(fs.existsSync(join(fixture.state, 'index-damaged', 'data.mdb')));
    assert.deepEqual(await sightOf(index), await fixture.fresh());
  });

  test('a file that is something else is set aside', async (t) => {
    const fixture = await makeFixture(t);
    await withFiles(fixture);
    fs.writeFileSync(dataFile(fixture), noise(1, 100_000));
    const index = await fixture.open();
    assert.equal(index.found, 'damaged');
    assert.deepEqual(await sightOf(index), await fixture.fresh());
  });

  test('pages overwritten within are found in a process of their own after an unclean stop', async (t) => {
    const fixture = await makeFixture(t);
    await withFiles(fixture);
    const fd = fs.openSync(dataFile(fixture), 'r+');
    const { size } = fs.fstatSync(fd);
    for (let at = 8192; at < size; at += 8192) fs.writeSync(fd, noise(at, 4096), 0, 4096, at);
    fs.closeSync(fd);
    fs.writeFileSync(join(fixture.state, 'index', 'running'), '1 some-boot');
    const index = await fixture.open();
    assert.equal(index.found, 'damaged');
    assert.deepEqual(await sightOf(index), await fixture.fresh());
  });

  test('an index with which several starts failed is not tried again', async (t) => {
    const fixture = await makeFixture(t);
    await withFiles(fixture);
    fs.writeFileSync(join(fixture.state, 'index', 'running'), '4 some-boot');
    const index = await fixture.open();
    assert.equal(index.found, 'damaged');
  });

  test('commits that the disk did not get before a power cut are left out', async (t) => {
    const fixture = await makeFixture(t);
    await withFiles(fixture);
    describeMissingCommit(dataFile(fixture));
    fs.writeFileSync(join(fixture.state, 'index', 'running'), '1 some-boot');
    const index = await fixture.open();
    assert.equal(index.found, 'unclean', index.notice);
    assert.deepEqual(await sightOf(index), await fixture.fresh());
  });

  test('a deleted index is made anew', async (t) => {
    const fixture = await makeFixture(t);
    await withFiles(fixture);
    fs.rmSync(join(fixture.state, 'index'), { recursive: true });
    const index = await fixture.open();
    assert.equal(index.found, 'fresh');
    assert.deepEqual(await sightOf(index), await fixture.fresh());
  });
});

test('a full disk stops the index with a clear error, and nothing else', {
  skip: needsRoot(),
  timeout: 60_000,
}, async (t) => {
  const fixture = await makeFixture(t);
  const small = join(fixture.state, 'small');
  fs.mkdirSync(small);
  await promisify(execFile)('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'covault-test', small]);
  try {
    for (let number = 0; number < 400; number++)
      fs.writeFileSync(join(fixture.data, `${number}`), noise(number, 40_000));
    const index = await fixture.open({ stateDirectory: small });
    // A disk that takes only a part of what is written makes an I/O error of it.
    const full = (error: unknown) => isCovaultError(error, 'E_NO_SPACE') || isCovaultError(error, 'E_IO');
    await assert.rejects(index.level(), full);
    assert.ok(index.status().failure);
    await assert.rejects(index.openCut(), full);
    index.consume([{ kind: 'subtree', inode: 1n }]);
    await index.close();
    await promisify(execFile)('mount', ['-o', 'remount,size=64m', small]);
    const again = await fixture.open({ stateDirectory: small });
    assert.notEqual(again.found, 'clean');
    assert.deepEqual(await sightOf(again), await fixture.fresh());
    await again.close();
  } finally {
    await promisify(execFile)('umount', ['--lazy', small]);
  }
});

test('an index of another key, of other cut parameters or of another directory is made anew', async (t) => {
  const fixture = await makeFixture(t);
  await withFiles(fixture);
  const otherKey = await fixture.open({ domain: { ...testDomain, digestKey: new Uint8Array(32).fill(9) } });
  assert.equal(otherKey.found, 'foreign');
  await otherKey.level();
  await otherKey.close();
  const otherCut = await fixture.open({ domain: { ...testDomain, cut: { ...testDomain.cut, normalBytes: 8192 } } });
  assert.equal(otherCut.found, 'foreign');
  await otherCut.level();
  await otherCut.close();
  const back = await fixture.open();
  assert.equal(back.found, 'foreign');
  await back.level();
  await back.close();
  fs.renameSync(fixture.data, `${fixture.data}-old`);
  fs.mkdirSync(fixture.data);
  const otherDirectory = await fixture.open();
  assert.equal(otherDirectory.found, 'foreign');
  assert.deepEqual((await sightOf(otherDirectory)).entries, []);
});

test('after the machine was started anew the feed begins a new history, as its last numbers may have been lost', async (t) => {
  const fixture = await makeFixture(t);
  await withFiles(fixture);
  const first = await fixture.open();
  const history = first.feed.history();
  await first.close();
  fs.writeFileSync(join(fixture.state, 'index', 'running'), '0 another-boot');
  const second = await fixture.open();
  assert.equal(second.found, 'unclean');
  assert.notEqual(second.feed.history(), history);
});
