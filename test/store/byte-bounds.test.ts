/** The gate and the cache keep to their bounds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteCache } from '../../src/store/byte-cache.ts';
import { ByteGate } from '../../src/store/byte-gate.ts';

test('never more than the bound is in work, and everybody gets through in order', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 150 })), async (sizes) => {
      const gate = new ByteGate(100);
      const through: number[] = [];
      let inWork = 0;
      const work = sizes.map(async (bytes, position) => {
        await gate.enter(bytes);
        through.push(position);
        inWork += bytes;
        assert.ok(inWork <= 100 || inWork === bytes, 'alone if larger than the bound');
        await new Promise((resolve) => setImmediate(resolve));
        inWork -= bytes;
        gate.leave(bytes);
      });
      await Promise.all(work);
      assert.deepEqual(through, [...sizes.keys()]);
      assert.equal(gate.bytes, 0);
    }),
    { numRuns: 50 },
  );
});

test('the cache holds what was used last, within its bound', () => {
  const cache = new ByteCache(100);
  for (const key of ['a', 'b', 'c', 'd']) cache.set(key, new Uint8Array(25));
  assert.ok(cache.get('a'));
  cache.set('e', new Uint8Array(25));
  assert.equal(cache.get('b'), undefined);
  for (const key of ['a', 'c', 'd', 'e']) assert.ok(cache.has(key), key);
  assert.equal(cache.bytes, 100);
});

test('setting a key again counts its bytes once', () => {
  const cache = new ByteCache(100);
  for (let times = 0; times < 10; times++) cache.set('a', new Uint8Array(20));
  assert.equal(cache.bytes, 20);
});

test('what would drive out most others is not cached', () => {
  const cache = new ByteCache(100);
  cache.set('small', new Uint8Array(10));
  cache.set('large', new Uint8Array(26));
  assert.ok(cache.has('small') && !cache.has('large'));
});
