/** Blocks for a restore over real HTTPS: peers and the store together, whatever the peers do. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { systemClock } from '../../src/core/clock.ts';
import { type Digest, type DigestKey, digestKey } from '../../src/core/digest.ts';
import { CovaultError } from '../../src/core/errors.ts';
import type { Block } from '../../src/core/recipe.ts';
import { openConnection } from '../../src/remote/client.ts';
import { type FetchOptions, PeerFetcher } from '../../src/snapshot/fetch-blocks.ts';
import { testDigester } from '../store/store-fixture.ts';
import { packFiles } from './fake-client.ts';
import { bytesOf, joinFiles, makeFiles, TakeWorld } from './take-world.ts';

const shared = makeFiles(80, { seed: 1 });
const alone = makeFiles(10, { seed: 2 });

/** Two peers hold what is shared, the store holds everything. */
async function fetching(t: TestContext, options: Partial<FetchOptions> = {}) {
  const world = await TakeWorld.make(t);
  const desktop = await world.add('desktop', new Map(shared));
  const server = await world.add('server', new Map(shared));
  const { blocks } = packFiles(joinFiles(shared, alone), testDigester);
  const identity = await world.domain.identity('vault', 'secondary');
  const read: DigestKey[] = [];
  const state = { readBlock: async (_: Digest): Promise<void> => undefined };
  const fetcher = new PeerFetcher({
    store: {
      async readBlock(digest) {
        await state.readBlock(digest);
        read.push(digestKey(digest));
        const bytes = blocks.get(digestKey(digest));
        return bytes && new Uint8Array(bytes);
      },
    },
    holders: world,
    async connect(peer) {
      const url = world.members.get(peer)?.url;
      if (url === undefined) throw new CovaultError('E_UNAVAILABLE', `${peer} is not there`);
      return openConnection({ identity, url, expect: { name: peer, role: 'client' } });
    },
    digester: testDigester,
    clock: systemClock,
    puller: 'vault',
    sparesStore: true,
    bounds: { healthTimes: { restMsFirst: 20 } },
    ...options,
  });
  t.after(() => fetcher[Symbol.asyncDispose]());
  const wanted: Block[] = [...blocks].map(([key, bytes]) => ({
    digest: Buffer.from(key, 'latin1'),
    length: bytes.byteLength,
  }));
  const taken = new Map<DigestKey, Uint8Array>();
  const fetch = (signal?: AbortSignal) =>
    fetcher.fetch(wanted, {
      async take(block, bytes) {
        assert.ok(!taken.has(digestKey(block.digest)), 'a block came twice');
        taken.set(digestKey(block.digest), bytes);
      },
      ...(signal ? { signal } : {}),
    });
  /** Asserts that all but `left` blocks came, and came right. */
  const assertTaken = (left = 0) => {
    assert.equal(taken.size, blocks.size - left);
    for (const [key, bytes] of taken)
      assert.ok(Buffer.compare(bytes, blocks.get(key) as Uint8Array) === 0, 'wrong bytes');
  };
  return { world, desktop, server, fetcher, fetch, taken, assertTaken, read, state, blocks };
}

test('a spared store sends only what no peer holds, and it is said who gave what', async (t) => {
  const { fetch, assertTaken, fetcher, read } = await fetching(t);
  await fetch();
  assertTaken();
  assert.equal(fetcher.shares.sourceBytes, bytesOf(alone));
  assert.equal(fetcher.shares.sourceUse.onlyHolder, bytesOf(alone));
  assert.equal(read.length, packFiles(alone, testDigester).blocks.size);
  assert.deepEqual(
    fetcher.shares
      .peers()
      .map(({ peer }) => peer)
      .toSorted(),
    ['desktop', 'server'],
  );
});

test('a store that need not be spared takes its share, and every block comes once', async (t) => {
  const { fetch, assertTaken, fetcher, desktop, server } = await fetching(t, { sparesStore: false });
  // So slow that a store that helps is certainly quicker.
  for (const client of [desktop, server]) {
    client.beforeRead = () => new Promise((resolve) => setTimeout(resolve, 20));
  }
  await fetch();
  assertTaken();
  assert.ok(fetcher.shares.sourceBytes > bytesOf(alone), 'the store only waited');
  const given = fetcher.shares.peers().reduce((sum, { bytes }) => sum + bytes, fetcher.shares.sourceBytes);
  assert.equal(given, bytesOf(joinFiles(shared, alone)));
});

test('a lying peer is named and not asked again, and nothing wrong is taken', async (t) => {
  const { fetch, assertTaken, fetcher, server, taken } = await fetching(t);
  server.spoil = (bytes) => {
    const wrong = new Uint8Array(bytes);
    wrong[0] = (wrong[0] ?? 0) ^ 1;
    return wrong;
  };
  await fetch();
  assertTaken();
  assert.equal(fetcher.shares.dropped.get('server')?.kind, 'lied');
  assert.equal(fetcher.shares.sourceBytes, bytesOf(alone), 'the other peer holds it all');
  const sentBefore = server.sent.length;
  taken.clear();
  await fetch();
  assertTaken();
  assert.equal(server.sent.length, sentBefore, 'it was asked again');
});

test('peers that lack everything, are gone or are busy leave the work to the store', async (t) => {
  const { fetch, assertTaken, fetcher, world, desktop } = await fetching(t);
  desktop.spoil = () => undefined;
  await world.members.get('server')?.stop();
  await fetch();
  assertTaken();
  assert.equal(fetcher.shares.sourceBytes, bytesOf(joinFiles(shared, alone)));
  assert.ok(world.reported.length > 0 && world.reported.every(({ peer }) => peer === 'desktop'));
});

test('what is damaged in the store comes from peers; what nobody has is left out', async (t) => {
  const { fetch, assertTaken, state, world, fetcher } = await fetching(t, { sparesStore: false });
  state.readBlock = async () => {
    throw new CovaultError('E_CORRUPT', 'the pack is damaged');
  };
  await fetch();
  assertTaken(packFiles(alone, testDigester).blocks.size);
  assert.equal(fetcher.shares.sourceBytes, 0);
  assert.equal(world.reported.filter(({ peer }) => peer !== 'desktop' && peer !== 'server').length, 0);
});

test('without the repository everything comes from the store, and that is told once', async (t) => {
  const problems: unknown[] = [];
  const { fetch, assertTaken, fetcher, taken } = await fetching(t, {
    holders: {
      holdersOf: () => Promise.reject(new CovaultError('E_UNAVAILABLE', 'no repository')),
      reportMissing: () => Promise.reject(new CovaultError('E_UNAVAILABLE', 'no repository')),
    },
    onProblem: (error) => problems.push(error),
  });
  await fetch();
  assertTaken();
  taken.clear();
  await fetch();
  assertTaken();
  assert.equal(problems.length, 1);
  assert.equal(fetcher.shares.peers().length, 0);
});

test('it ends when it is interrupted, and with the error of who takes the blocks', async (t) => {
  const { fetch, fetcher, desktop, server, taken } = await fetching(t);
  for (const client of [desktop, server]) client.beforeRead = () => new Promise(() => undefined);
  const stop = new AbortController();
  const fetched = fetch(stop.signal);
  stop.abort();
  await assert.rejects(fetched, { code: 'E_INTERRUPTED' });
  for (const client of [desktop, server]) client.beforeRead = () => undefined;
  const full = new CovaultError('E_NO_SPACE', 'the disk is full');
  const wanted = [...packFiles(shared, testDigester).blocks].map(([key, bytes]) => ({
    digest: Buffer.from(key, 'latin1'),
    length: bytes.byteLength,
  }));
  await assert.rejects(fetcher.fetch(wanted, { take: () => Promise.reject(full) }), { code: 'E_NO_SPACE' });
  assert.ok(taken.size < wanted.length);
});
