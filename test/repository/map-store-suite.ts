/** What every map store must do. Run it with a function that opens the store, and opens it again after a close. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import type { FeedPosition, MapStore } from '../../src/repository/map-store.ts';
import { digestOf } from './digest-of.ts';
import { createMemoryMapStore } from './memory-map-store.ts';

/** A place for one store. */
export interface StorePlace {
  open(): Promise<MapStore>;
}

const history = 'a'.repeat(32);
const at = (sequence: number): FeedPosition => ({ history, sequence });

function member(name: string) {
  return { name, role: 'client' as const, fingerprint: 'f'.repeat(64), joinedMs: 17 };
}

export function mapStoreSuite(makePlace: (t: TestContext) => Promise<StorePlace>): void {
  const testWith = (name: string, run: (store: MapStore, reopen: () => Promise<MapStore>) => Promise<void>) => {
    test(name, async (t) => {
      const place = await makePlace(t);
      let store = await place.open();
      const reopen = async () => {
        await store.close();
        store = await place.open();
        return store;
      };
      try {
        await run(store, reopen);
      } finally {
        await store.close();
      }
    });
  };

  testWith('settings are put together and survive', async (store, reopen) => {
    assert.equal(await store.setting('none'), undefined);
    await store.putSettings({ a: Buffer.from([1, 2]), b: new Uint8Array(0) });
    await store.putSettings({ a: Buffer.from([3]) });
    const again = await reopen();
    assert.deepEqual([...((await again.setting('a')) ?? [])], [3]);
    assert.equal((await again.setting('b'))?.byteLength, 0);
  });

  testWith('members keep their number, in order of names', async (store, reopen) => {
    const first = await store.putMember(member('zebra'));
    const second = await store.putMember(member('ape'));
    assert.notEqual(first.number, second.number);
    const renewed = await store.putMember({ ...member('zebra'), fingerprint: 'e'.repeat(64) });
    assert.equal(renewed.number, first.number);
    const again = await reopen();
    assert.deepEqual(await again.members(), [second, renewed]);
    assert.deepEqual(await again.member('ape'), second);
    assert.equal(await again.member('ap'), undefined);
  });

  testWith('a removed member leaves nothing and its number is not given again', async (store) => {
    const gone = await store.putMember(member('gone'));
    const stays = await store.putMember(member('stays'));
    for (const { number } of [gone, stays]) {
      await store.applyChanges(number, { gained: [digestOf(1), digestOf(number + 10)], lost: [], position: at(1) });
      await store.putLease(number, { url: 'https://[::1]:1', load: 0, renewedMs: 1, untilMs: 2 });
    }
    await store.removeMember('gone');
    await store.removeMember('gone');
    assert.deepEqual(await store.members(), [stays]);
    assert.deepEqual([...(await store.leases()).keys()], [stays.number]);
    assert.equal(await store.position(gone.number), undefined);
    assert.deepEqual(await store.counts(gone.number), { holdings: 0, missing: 0 });
    assert.deepEqual(await store.holdersOf([digestOf(1), digestOf(gone.number + 10)]), [[stays.number], []]);
    assert.equal(await store.digestCount(), 2);
    const newcomer = await store.putMember(member('gone'));
    assert.ok(newcomer.number > stays.number);
  });

  testWith('leases are kept as they were renewed last', async (store, reopen) => {
    const { number } = await store.putMember(member('laptop'));
    await store.putLease(number, { url: 'https://10.0.0.1:1', load: 3, renewedMs: 1, untilMs: 2 });
    const lease = { url: 'https://10.0.0.1:2', load: 4, price: 7, renewedMs: 3, untilMs: 4 };
    await store.putLease(number, lease);
    assert.deepEqual(await (await reopen()).leases(), new Map([[number, lease]]));
  });

  testWith('positions of both kinds survive', async (store, reopen) => {
    const { number } = await store.putMember(member('laptop'));
    assert.equal(await store.position(number), undefined);
    const resync = { history, resync: { id: 'b'.repeat(32), sequence: 9, after: undefined } };
    await store.putPosition(number, resync);
    const again = await reopen();
    assert.deepEqual(await again.position(number), resync);
    await again.putPosition(number, at(7));
    assert.deepEqual(await again.position(number), at(7));
  });

  testWith('holders are found in the order asked, ascending, none for what nobody has', async (store) => {
    const [a, b] = [await store.putMember(member('a')), await store.putMember(member('b'))];
    await store.applyChanges(b.number, { gained: [digestOf(2), digestOf(1)], lost: [], position: at(1) });
    await store.applyChanges(a.number, { gained: [digestOf(3), digestOf(2)], lost: [digestOf(9)], position: at(1) });
    assert.deepEqual(await store.holdersOf([3, 2, 1, 0, 2].map(digestOf)), [
      [a.number],
      [a.number, b.number],
      [b.number],
      [],
      [a.number, b.number],
    ]);
  });

  testWith('a token is taken by exactly one', async (store, reopen) => {
    const hash = digestOf(1);
    const token = { role: 'secondary' as const, name: undefined, expiresMs: 100 };
    await store.putToken(hash, token);
    const again = await reopen();
    assert.deepEqual(await again.token(hash), token);
    const taken = await Promise.all([1, 2, 3, 4].map(() => again.takeToken(hash)));
    assert.equal(taken.filter(Boolean).length, 1);
    assert.equal(await again.token(hash), undefined);
    assert.equal(await again.takeToken(hash), false);
  });

  testWith('expired tokens go, others stay', async (store) => {
    await store.putToken(digestOf(1), { role: 'client', name: 'laptop', expiresMs: 100 });
    await store.putToken(digestOf(2), { role: 'client', name: 'laptop', expiresMs: 101 });
    await store.removeExpiredTokens(100);
    assert.equal(await store.token(digestOf(1)), undefined);
    assert.equal((await store.token(digestOf(2)))?.name, 'laptop');
  });

  testWith('more changes than fit into one slice arrive in full, also those of a range', async (store) => {
    const { number } = await store.putMember(member('laptop'));
    const many = Array.from({ length: 10_000 }, (_, i) => digestOf(i));
    await store.applyChanges(number, { gained: many, lost: [], position: at(1) });
    assert.deepEqual(await store.counts(number), { holdings: many.length, missing: 0 });
    assert.equal((await store.holdersOf(many)).filter(([holder]) => holder === number).length, many.length);
    const bounds = { after: digestOf(10), upTo: digestOf(9_989) };
    await store.replaceRange(number, { ...bounds, digests: [digestOf(5_000)], position: at(2) });
    assert.deepEqual(await store.counts(number), { holdings: 11 + 10 + 1, missing: 0 });
    assert.equal(await store.digestCount(), 22);
  });

  testWith('any sequence of changes leaves what the model says', (store, reopen) => matchesModel(store, reopen));
}

const digests = fc.uniqueArray(fc.nat(24), { maxLength: 16 }).map((numbers) => numbers.map(digestOf));
const bound = fc.option(fc.nat(24), { nil: undefined });
const step = fc.oneof(
  fc.record({ do: fc.constant('apply' as const), who: fc.nat(2), gained: digests, lost: digests }),
  fc.record({ do: fc.constant('replace' as const), who: fc.nat(2), from: bound, to: bound, gained: digests }),
  fc.record({ do: fc.constant('missing' as const), who: fc.nat(2), lost: digests }),
  fc.record({ do: fc.constant('reopen' as const) }),
);

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** Runs random steps on the store and on the model; members are new in every run, so that one store serves all. */
async function matchesModel(first: MapStore, reopen: () => Promise<MapStore>): Promise<void> {
  let store = first;
  let run = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      run += 1;
      const model = createMemoryMapStore();
      const names = ['a', 'b', 'c'].map((name) => `${name}${run}`);
      const mine: number[] = [];
      const its: number[] = [];
      for (const name of names) {
        mine.push((await store.putMember(member(name))).number);
        its.push((await model.putMember(member(name))).number);
      }
      for (const each of steps) {
        if (each.do === 'reopen') store = await reopen();
        else assert.equal(await act(store, mine[each.who] ?? 0, each), await act(model, its[each.who] ?? 0, each));
      }
      const asked = Array.from({ length: 25 }, (_, i) => digestOf(i));
      const inModel = (await model.holdersOf(asked)).map((numbers) => numbers.map((number) => its.indexOf(number)));
      const inStore = (await store.holdersOf(asked)).map((numbers) => numbers.map((number) => mine.indexOf(number)));
      assert.deepEqual(inStore, inModel);
      assert.equal(await store.digestCount(), await model.digestCount());
      for (const [i, number] of mine.entries()) {
        assert.deepEqual(await store.counts(number), await model.counts(its[i] ?? 0));
        assert.deepEqual(await store.position(number), await model.position(its[i] ?? 0));
      }
      for (const name of names) await store.removeMember(name);
      assert.equal(await store.digestCount(), 0);
    }),
    { numRuns: 40 },
  );
}

async function act(store: MapStore, number: number, each: Exclude<Step, { do: 'reopen' }>): Promise<number> {
  if (each.do === 'missing') return store.removeMissing(number, each.lost);
  if (each.do === 'apply') {
    await store.applyChanges(number, { gained: each.gained, lost: each.lost, position: at(each.gained.length) });
    return 0;
  }
  const after = each.from === undefined ? undefined : digestOf(each.from);
  const upTo = each.to === undefined ? undefined : digestOf(Math.max(each.to, each.from ?? 0));
  const within = each.gained.filter(
    (digest) =>
      (after === undefined || Buffer.compare(digest, after) > 0) &&
      (upTo === undefined || Buffer.compare(digest, upTo) <= 0),
  );
  await store.replaceRange(number, { after, upTo, digests: within, position: at(within.length) });
  return within.length;
}
