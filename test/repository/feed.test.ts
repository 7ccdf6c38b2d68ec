/** The feed of a member against a real repository: changes, resyncs, restarts, lost answers. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { CovaultError, type ErrorCode, isCovaultError } from '../../src/core/errors.ts';
import { limits } from '../../src/core/limits.ts';
import { FeedPublisher, type PublisherState, type PublishOptions } from '../../src/remote/feed-publisher.ts';
import type { RepositoryClient } from '../../src/remote/repository-client.ts';
import { MemoryFeed } from '../remote/memory-feed.ts';
import { digestOf } from './digest-of.ts';
import { startTestRepository, type TestMember } from './test-repository.ts';

const failsWith = (code: ErrorCode) => (error: unknown) => {
  assert.ok(isCovaultError(error, code), `expected ${code}, got ${String(error)}`);
  return true;
};

const range = (from: number, below: number) => Array.from({ length: below - from }, (_, i) => digestOf(from + i));

/** Makes the member live, so that lookups name it. */
async function live(...members: TestMember[]): Promise<void> {
  for (const { client } of members) await client.renewLease({ url: 'https://127.0.0.1:1', load: 0 });
}

/** Which of the digests numbered 0 to `below` - 1 the repository says `name` holds. */
async function heldBy(client: RepositoryClient, name: string, below: number): Promise<number[]> {
  const holders = await client.holdersOf(range(0, below));
  return holders.flatMap((names, number) => (names.includes(name) ? [number] : []));
}

/** Runs a publisher until the test ends. */
function publish(t: TestContext, member: TestMember, feed: MemoryFeed, options: Partial<PublishOptions> = {}) {
  const stop = new AbortController();
  const publisher = new FeedPublisher(member.client, feed, {
    signal: stop.signal,
    backoff: { firstMs: 5, maxMs: 20 },
    ...options,
  });
  const done = publisher.run();
  t.after(async () => {
    stop.abort();
    await done;
  });
  return { publisher, stop, done };
}

/** Resolves when the repository has acknowledged all of the feed. */
async function levelled(publisher: FeedPublisher, feed: MemoryFeed): Promise<void> {
  const isLevel = ({ phase, history, acknowledged }: PublisherState) =>
    phase === 'level' && history === feed.history() && acknowledged === feed.lastSequence();
  while (!isLevel(publisher.state())) await sleep(2);
}

test('changes arrive, are acknowledged and can be looked up', { timeout: 30_000 }, async (t) => {
  const repository = await startTestRepository(t);
  const laptop = await repository.join('laptop');
  await live(laptop);
  const feed = new MemoryFeed();
  feed.gain(...range(0, 10));
  const { publisher } = publish(t, laptop, feed, { digestsPerRequest: 3 });
  await levelled(publisher, feed);
  assert.equal(publisher.state().resyncs, 1);
  feed.lose(digestOf(3));
  feed.gain(digestOf(12));
  await levelled(publisher, feed);
  assert.deepEqual(await heldBy(laptop.client, 'laptop', 14), [0, 1, 2, 4, 5, 6, 7, 8, 9, 12]);
  assert.equal(publisher.state().resyncs, 1);
  assert.equal(feed.acknowledged, feed.lastSequence());
  assert.equal((await laptop.client.peers()).get('laptop')?.holdings, 10);
});

test('a feed with another history is sent afresh, and what it does not hold is forgotten', {
  timeout: 30_000,
}, async (t) => {
  const repository = await startTestRepository(t);
  const laptop = await repository.join('laptop');
  await live(laptop);
  const feed = new MemoryFeed();
  feed.gain(...range(0, 20));
  const { publisher } = publish(t, laptop, feed, { digestsPerRequest: 4, recheckMs: 20 });
  await levelled(publisher, feed);
  feed.startOver();
  feed.lose(...range(5, 15));
  feed.gain(digestOf(30));
  await levelled(publisher, feed);
  assert.deepEqual(await heldBy(laptop.client, 'laptop', 40), [0, 1, 2, 3, 4, 15, 16, 17, 18, 19, 30]);
  assert.equal(publisher.state().resyncs, 2);
});

test('a publisher goes on where it was after the repository restarts', { timeout: 30_000 }, async (t) => {
  const repository = await startTestRepository(t);
  const laptop = await repository.join('laptop');
  await live(laptop);
  const feed = new MemoryFeed();
  feed.gain(...range(0, 5));
  const { publisher } = publish(t, laptop, feed);
  await levelled(publisher, feed);
  await repository.current.close();
  feed.gain(...range(5, 8));
  while (publisher.state().phase !== 'failed') await sleep(2);
  assert.ok(isCovaultError(publisher.state().error, 'E_UNAVAILABLE'));
  await repository.restart();
  await levelled(publisher, feed);
  assert.equal(publisher.state().resyncs, 1);
  assert.equal(publisher.state().error, undefined);
  assert.deepEqual(await heldBy(laptop.client, 'laptop', 10), [0, 1, 2, 3, 4, 5, 6, 7]);
});

test('a feed that forgot changes while the repository was away is sent afresh', { timeout: 30_000 }, async (t) => {
  const repository = await startTestRepository(t);
  const laptop = await repository.join('laptop');
  await live(laptop);
  const feed = new MemoryFeed();
  feed.gain(...range(0, 5));
  const { publisher } = publish(t, laptop, feed);
  await levelled(publisher, feed);
  await repository.current.close();
  feed.lose(...range(0, 2));
  feed.gain(digestOf(7));
  feed.forget();
  await repository.restart();
  await levelled(publisher, feed);
  assert.equal(publisher.state().resyncs, 2);
  assert.deepEqual(await heldBy(laptop.client, 'laptop', 10), [2, 3, 4, 7]);
});

test('an idle publisher notices that the repository lost what it acknowledged', { timeout: 30_000 }, async (t) => {
  const repository = await startTestRepository(t);
  const laptop = await repository.join('laptop');
  await live(laptop);
  const feed = new MemoryFeed();
  feed.gain(...range(0, 5));
  const { publisher } = publish(t, laptop, feed, { recheckMs: 20 });
  await levelled(publisher, feed);
  // As after tables were restored from an older copy.
  await laptop.client.beginResync({ history: 'f'.repeat(32), sequence: 0 });
  while (publisher.state().resyncs < 2 || publisher.state().phase !== 'level') await sleep(2);
  assert.deepEqual(await heldBy(laptop.client, 'laptop', 10), [0, 1, 2, 3, 4]);
});

test('a change of which only a part arrived does not leave behind what is undone by then', {
  timeout: 30_000,
}, async (t) => {
  const repository = await startTestRepository(t);
  const laptop = await repository.join('laptop');
  await live(laptop);
  const feed = new MemoryFeed();
  const cut = Promise.withResolvers<void>();
  let requests = 0;
  const { client } = laptop;
  const send = client.sendChanges.bind(client);
  client.sendChanges = async (...parameters) => {
    if (++requests !== 2) return send(...parameters);
    cut.resolve();
    // Meanwhile what the first request said is not so any more.
    feed.lose(...range(0, 10));
    throw new CovaultError('E_UNAVAILABLE', 'the connection broke');
  };
  const { publisher } = publish(t, laptop, feed, { digestsPerRequest: 10 });
  await levelled(publisher, feed);
  feed.gain(...range(0, 100));
  await cut.promise;
  await levelled(publisher, feed);
  assert.deepEqual(
    await heldBy(laptop.client, 'laptop', 100),
    Array.from({ length: 90 }, (_, number) => number + 10),
  );
});

test('a publisher stops at once when it is told to', { timeout: 30_000 }, async (t) => {
  const repository = await startTestRepository(t);
  const laptop = await repository.join('laptop');
  const feed = new MemoryFeed();
  const { publisher, stop, done } = publish(t, laptop, feed);
  await levelled(publisher, feed);
  stop.abort();
  await done;
});

test('what two members hold is kept apart', { timeout: 30_000 }, async (t) => {
  const repository = await startTestRepository(t);
  const members = [await repository.join('laptop'), await repository.join('desktop')];
  await live(...members);
  const feeds = members.map(() => new MemoryFeed());
  feeds[0]?.gain(...range(0, 6));
  feeds[1]?.gain(...range(4, 10));
  for (const [i, member] of members.entries()) {
    const feed = feeds[i] as MemoryFeed;
    await levelled(publish(t, member, feed).publisher, feed);
  }
  const { client } = members[0] as TestMember;
  assert.deepEqual(await client.holdersOf([3, 4, 9, 10].map(digestOf)), [
    ['laptop'],
    ['laptop', 'desktop'],
    ['desktop'],
    [],
  ]);
  assert.equal((await client.statistics()).digests, 10);
});

test('a resync that stops halfway is not taken for whole', async (t) => {
  const repository = await startTestRepository(t);
  const { client } = await repository.join('laptop');
  const history = 'a'.repeat(32);
  const resync = await client.beginResync({ history, sequence: 5 });
  await client.sendPage({ resync, after: undefined, digests: range(0, 3) });
  assert.equal(await client.feedPosition(), undefined);
  const changes = { history, from: 5, to: 6, gained: [digestOf(9)], lost: [] };
  assert.equal(await client.sendChanges(changes), undefined);
  await repository.restart();
  assert.equal(await client.feedPosition(), undefined);
  // It may go on after a restart.
  await client.sendPage({ resync, after: digestOf(2), digests: range(3, 5) });
  assert.equal(await client.finishResync(resync), 5);
  assert.deepEqual(await client.feedPosition(), { history, sequence: 5 });
  assert.equal(await client.sendChanges(changes), 6);
});

test('pages count once, in order, and only for the resync under way', async (t) => {
  const repository = await startTestRepository(t);
  const member = await repository.join('laptop');
  const { client } = member;
  await live(member);
  const begin = { history: 'a'.repeat(32), sequence: 1 };
  const old = await client.beginResync(begin);
  const resync = await client.beginResync(begin);
  await assert.rejects(
    client.sendPage({ resync: old, after: undefined, digests: range(0, 1) }),
    failsWith('E_NOT_FOUND'),
  );
  await assert.rejects(client.finishResync(old), failsWith('E_NOT_FOUND'));
  const first = { resync, after: undefined, digests: range(0, 4) };
  await client.sendPage(first);
  await client.sendPage(first);
  await assert.rejects(
    client.sendPage({ resync, after: digestOf(9), digests: range(10, 11) }),
    failsWith('E_BAD_INPUT'),
  );
  const descending = { resync, after: digestOf(3), digests: [digestOf(6), digestOf(5)] };
  await assert.rejects(client.sendPage(descending), failsWith('E_BAD_INPUT'));
  await assert.rejects(client.sendPage({ resync, after: digestOf(3), digests: [] }), failsWith('E_BAD_INPUT'));
  await client.finishResync(resync);
  assert.deepEqual(await heldBy(client, 'laptop', 12), [0, 1, 2, 3]);
});

test('changes sent twice count once, and those that do not follow count not at all', async (t) => {
  const repository = await startTestRepository(t);
  const { client } = await repository.join('laptop');
  const history = 'a'.repeat(32);
  await client.finishResync(await client.beginResync({ history, sequence: 3 }));
  const next = { history, from: 3, to: 5, gained: range(0, 2), lost: [] };
  assert.equal(await client.sendChanges(next), 5);
  assert.equal(await client.sendChanges({ ...next, lost: range(0, 2), gained: [] }), 5);
  assert.equal(await client.sendChanges({ ...next, from: 7, to: 8 }), undefined);
  assert.equal(await client.sendChanges({ ...next, history: 'b'.repeat(32) }), undefined);
  assert.equal((await client.peers()).get('laptop')?.holdings, 2);
});

test('a full lookup and full changes fit into one request; one digest more is refused', {
  timeout: 60_000,
}, async (t) => {
  const repository = await startTestRepository(t);
  const member = await repository.join('laptop');
  const { client } = member;
  await live(member);
  const many = range(0, limits.digestsPerRequestMax);
  const history = 'a'.repeat(32);
  await client.finishResync(await client.beginResync({ history, sequence: 0 }));
  assert.equal(await client.sendChanges({ history, from: 0, to: 1, gained: many, lost: [] }), 1);
  const more = { history, from: 1, to: 2, gained: many, lost: [digestOf(0)] };
  await assert.rejects(client.sendChanges(more), failsWith('E_BAD_INPUT'));
  const holders = await client.holdersOf([...many, digestOf(limits.digestsPerRequestMax)]);
  assert.equal(holders.length, many.length + 1);
  assert.deepEqual(holders.at(-1), []);
  assert.equal(holders.filter(([name]) => name === 'laptop').length, many.length);
});

test('whatever happens to a feed, the repository ends up with what it holds', { timeout: 60_000 }, async (t) => {
  const repository = await startTestRepository(t);
  const laptop = await repository.join('laptop');
  await live(laptop);
  const feed = new MemoryFeed();
  const { publisher } = publish(t, laptop, feed, { digestsPerRequest: 2, recheckMs: 20 });
  const numbers = fc.uniqueArray(fc.nat(30), { maxLength: 8 });
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.record({ gain: numbers, lose: numbers, wait: fc.boolean() }) },
    { weight: 1, arbitrary: fc.constant('startOver' as const) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 6 }), async (steps) => {
      for (const each of steps) {
        if (each === 'startOver') {
          feed.startOver();
        } else {
          feed.gain(...each.gain.map(digestOf));
          feed.lose(...each.lose.map(digestOf));
          if (each.wait) await sleep(1);
        }
      }
      feed.gain(digestOf(40));
      feed.lose(digestOf(40));
      await levelled(publisher, feed);
      const expected = feed.held().map((digest) => Buffer.from(digest).readUInt32BE(0));
      assert.deepEqual(await heldBy(laptop.client, 'laptop', 41), expected);
    }),
    { numRuns: 25 },
  );
});
