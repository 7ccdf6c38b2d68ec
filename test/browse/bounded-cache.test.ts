/** The cache with a bound in bytes, and work on many items with a bound on how many at once. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BoundedCache } from '../../src/browse/bounded-cache.ts';
import { forEachBounded } from '../../src/browse/for-each-bounded.ts';

describe('a bounded cache', () => {
  const loaded =
    (value: string, bytes = 10) =>
    async () => ({ value, bytes });

  it('loads once and keeps what was used last', async () => {
    const cache = new BoundedCache<string>({ bytesMax: 60 });
    for (const key of 'abcdef') await cache.get(key, loaded(key));
    assert.equal(cache.bytes, 60);
    cache.peek('a');
    await cache.get('g', loaded('g'));
    assert.deepEqual(
      [...'abcdefg'].filter((key) => cache.has(key)),
      [...'acdefg'],
    );
    assert.equal(await cache.get('a', () => assert.fail('it is held')), 'a');
  });

  it('holds the last few whatever they weigh, and nothing else then', async () => {
    const cache = new BoundedCache<string>({ bytesMax: 60 });
    for (const key of 'abcdef') await cache.get(key, loaded(key, 1000));
    assert.deepEqual(
      [...'abcdef'].filter((key) => cache.has(key)),
      [...'cdef'],
    );
    for (const key of 'ghijk') await cache.get(key, loaded(key));
    assert.equal(cache.bytes, 50);
  });

  it('shares a load under way and does not remember a failure', async () => {
    const cache = new BoundedCache<string>({ bytesMax: 60 });
    let loads = 0;
    const failing = async () => {
      loads += 1;
      throw new Error('no');
    };
    const both = await Promise.allSettled([cache.get('a', failing), cache.get('a', failing)]);
    assert.deepEqual(
      both.map(({ status }) => status),
      ['rejected', 'rejected'],
    );
    assert.equal(loads, 1);
    assert.equal(await cache.get('a', loaded('b')), 'b');
  });
});

describe('bounded work', () => {
  it('is done in order, never more at once than allowed', async () => {
    let atOnce = 0;
    let most = 0;
    const started: number[] = [];
    await forEachBounded(
      Array.from({ length: 20 }, (_, number) => number),
      3,
      async (number) => {
        started.push(number);
        atOnce += 1;
        most = Math.max(most, atOnce);
        await new Promise((resolve) => setImmediate(resolve));
        atOnce -= 1;
      },
    );
    assert.equal(most, 3);
    assert.deepEqual(
      started,
      [...started].sort((a, b) => a - b),
    );
    assert.equal(started.length, 20);
  });

  it('stops at the first error, after what is under way is done', async () => {
    let underWay = 0;
    let started = 0;
    const work = forEachBounded(Array.from({ length: 20 }), 4, async () => {
      started += 1;
      underWay += 1;
      const mine = started;
      await new Promise((resolve) => setImmediate(resolve));
      underWay -= 1;
      if (mine === 2) throw new Error('second');
    });
    await assert.rejects(work, /second/);
    assert.equal(underWay, 0);
    assert.ok(started < 20);
  });
});
