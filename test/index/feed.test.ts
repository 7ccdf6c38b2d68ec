/** The feed tells what came and went, once, in order, and begins anew when it cannot. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestHex } from '../../src/core/digest.ts';
import { isCovaultError } from '../../src/core/errors.ts';
import type { LiveIndex } from '../../src/index/live-index.ts';
import { type Fixture, holdingsOf, makeFixture, noise, openReporting } from './index-fixture.ts';
import { RecordedDirectory } from './recorded-directory.ts';

async function makeFeed(
  fixture: Fixture,
  options: Parameters<Fixture['open']>[0] = {},
): Promise<{ index: LiveIndex; directory: RecordedDirectory; level(): Promise<void> }> {
  const directory = new RecordedDirectory(fixture.data);
  const settle = async () => index.consume(directory.take());
  const index = await fixture.open({ settle, ...options });
  await index.level();
  return { index, directory, level: () => index.level() };
}

test('changes are folded: each digest is named once, by what became of it last', async (t) => {
  const { index, directory, level } = await makeFeed(await makeFixture(t));
  assert.equal(index.feed.lastSequence(), 0);
  assert.deepEqual(index.feed.changesAfter(0, 10), { gained: [], lost: [], upTo: 0 });
  directory.create('stays', noise(1, 3000));
  await level();
  directory.create('goes', noise(2, 3000));
  await level();
  const between = index.feed.lastSequence();
  directory.remove('goes');
  await level();
  const whole = index.feed.changesAfter(0, 100);
  assert.deepEqual([whole.gained.length, whole.lost.length], [1, 1]);
  assert.deepEqual(whole.gained.map(digestHex), holdingsOf(index));
  const second = index.feed.changesAfter(between, 100);
  assert.deepEqual([second.gained.length, second.lost.length], [0, 1]);
  assert.deepEqual(second.lost, whole.lost);
  assert.equal(second.upTo, index.feed.lastSequence());
});

test('a block in two files is gained once and lost with the last', async (t) => {
  const { index, directory, level } = await makeFeed(await makeFixture(t));
  directory.create('a', noise(1, 3000));
  await level();
  const first = index.feed.lastSequence();
  directory.create('b', noise(1, 3000));
  await level();
  directory.remove('a');
  await level();
  assert.deepEqual(index.feed.changesAfter(first, 100).lost, []);
  assert.equal(index.feed.lastSequence(), first);
  directory.remove('b');
  await level();
  assert.equal(index.feed.changesAfter(first, 100).lost.length, 1);
});

test('a long list comes in parts that together are the whole', async (t) => {
  const { index, directory, level } = await makeFeed(await makeFixture(t));
  for (let number = 0; number < 30; number++) {
    directory.create(`${number}`, noise(number, 30_000));
    if (number % 3 === 0) await level();
  }
  await level();
  const all = new Set<string>();
  let sequence = 0;
  let parts = 0;
  while (sequence < index.feed.lastSequence()) {
    const { gained, lost, upTo } = index.feed.changesAfter(sequence, 20);
    assert.ok(upTo > sequence);
    for (const digest of gained) all.add(digestHex(digest));
    for (const digest of lost) all.delete(digestHex(digest));
    sequence = upTo;
    parts++;
  }
  assert.ok(parts > 3);
  assert.deepEqual([...all].sort(), holdingsOf(index));
});

test('what is acknowledged is forgotten, also over a restart', async (t) => {
  const fixture = await makeFixture(t);
  const { index, directory, level } = await makeFeed(fixture);
  directory.create('a', noise(1, 3000));
  await level();
  const acknowledged = index.feed.lastSequence();
  await index.feed.acknowledge(acknowledged);
  directory.create('b', noise(2, 3000));
  await level();
  const forgotten = (error: unknown) => isCovaultError(error, 'E_NOT_FOUND');
  assert.throws(() => index.feed.changesAfter(0, 10), forgotten);
  assert.throws(() => index.feed.changesAfter(index.feed.lastSequence() + 5, 10), forgotten);
  assert.equal(index.feed.changesAfter(acknowledged, 10).gained.length, 1);
  await index.close();
  const again = await fixture.open();
  assert.throws(() => again.feed.changesAfter(0, 10), forgotten);
  assert.equal(again.feed.changesAfter(acknowledged, 10).gained.length, 1);
});

test('waiting ends with the next change, and can be interrupted', async (t) => {
  const { index, directory, level } = await makeFeed(await makeFixture(t));
  const interruption = new AbortController();
  const { signal } = interruption;
  const changed = index.feed.changedAfter(0, { signal });
  directory.create('a', noise(1, 3000));
  await level();
  await changed;
  await index.feed.changedAfter(0, { signal });
  const never = index.feed.changedAfter(index.feed.lastSequence(), { signal });
  interruption.abort();
  await assert.rejects(never, (error) => isCovaultError(error, 'E_INTERRUPTED'));
});

test('a feed that nobody fetches begins a new history instead of growing without end', async (t) => {
  const { index, directory, level } = await makeFeed(await makeFixture(t), { feedDigestsMax: 50 });
  const history = index.feed.history();
  for (let number = 0; number < 20; number++) {
    directory.create('file', noise(number, 30_000));
    await level();
  }
  assert.notEqual(index.feed.history(), history);
  assert.ok(index.status().feedDigests <= 70, `${index.status().feedDigests} digests are kept`);
  assert.throws(
    () => index.feed.changesAfter(0, 10),
    (error) => isCovaultError(error, 'E_NOT_FOUND'),
  );
  const holdings = index.feed.holdings(100);
  assert.ok(holdings.sequence > 0);
  holdings.close();
});

test('holdings are pages of one moment', async (t) => {
  const fixture = await makeFixture(t);
  const directory = new RecordedDirectory(fixture.data);
  for (let number = 0; number < 20; number++) directory.create(`${number}`, noise(number, 40_000));
  const index = await openReporting(fixture, directory);
  await index.level();
  const all = holdingsOf(index);
  const holdings = index.feed.holdings(7);
  const pages = holdings.pages[Symbol.iterator]();
  const first = pages.next().value;
  for (let number = 0; number < 20; number++) directory.remove(`${number}`);
  await index.level();
  const rest: Uint8Array[] = [];
  for (let page = pages.next(); !page.done; page = pages.next()) rest.push(...page.value);
  holdings.close();
  assert.deepEqual(
    [...(first ?? []), ...rest].map((digest) => Buffer.from(digest).toString('hex')),
    all,
  );
  const { lost } = index.feed.changesAfter(holdings.sequence, 100_000);
  assert.equal(lost.length, all.length);
  assert.deepEqual(holdingsOf(index), []);
});
