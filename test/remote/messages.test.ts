/** Packed forms within messages, errors on their way, and the waits between attempts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decode, encode } from '../../src/core/codec.ts';
import { CovaultError, isCovaultError } from '../../src/core/errors.ts';
import { backoffMs } from '../../src/remote/backoff.ts';
import { packDigests, unpackDigests } from '../../src/remote/digest-list.ts';
import { packHolderRuns, unpackHolderRuns } from '../../src/remote/holder-runs.ts';
import { packError, unpackError } from '../../src/remote/protocol.ts';

const isCorrupt = (error: unknown) => isCovaultError(error, 'E_CORRUPT');
const json = fc.jsonValue({ maxDepth: 4 });

test('holders come out of their packed form as they went in', () => {
  const list = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 4 });
  fc.assert(
    fc.property(fc.array(list, { maxLength: 40 }), (holders) => {
      const packed = decode(encode(packHolderRuns(holders)), 'holders');
      assert.deepEqual(unpackHolderRuns(packed, holders.length), holders);
      assert.throws(() => unpackHolderRuns(packed, holders.length + 1), isCorrupt);
      if (holders.length > 0) assert.throws(() => unpackHolderRuns(packed, holders.length - 1), isCorrupt);
    }),
  );
});

test('neighbours with the same holders take no room of their own', () => {
  const shared = ['laptop', 'desktop'];
  const same = Array.from({ length: 10_000 }, (_, i) => (i % 2 === 0 ? shared : [...shared]));
  assert.ok(encode(packHolderRuns(same)).byteLength < 100);
});

test('any other value is refused as a list of holders', () => {
  fc.assert(
    fc.property(json, fc.nat(5), (value, count) => {
      try {
        const holders = unpackHolderRuns(value, count);
        assert.equal(holders.length, count);
      } catch (error) {
        assert.ok(isCorrupt(error), String(error));
      }
    }),
  );
  for (const wrong of [
    [['a'], [[0]], [1, 1]],
    [['a'], [[1]], [1, 0]],
    [['a'], [[0]], [2, 0]],
    [['a'], [[0]], [0, 0]],
    [['a'], [[0]], [1]],
    [[], [], []],
  ]) {
    assert.throws(() => unpackHolderRuns(wrong, 1), isCorrupt);
  }
});

test('digests come out of a list as they went in, up to the bound', () => {
  const digests = [1, 2, 3].map((n) => Buffer.alloc(32, n));
  assert.deepEqual(unpackDigests(packDigests(digests), 'digests', 3), digests);
  assert.deepEqual(unpackDigests(packDigests([]), 'digests', 0), []);
  assert.throws(() => unpackDigests(packDigests(digests), 'digests', 2), isCorrupt);
  assert.throws(() => unpackDigests(packDigests(digests).subarray(1), 'digests', 3), isCorrupt);
});

test('errors come through, and what is none becomes one', () => {
  const error = new CovaultError('E_BUSY', 'full', { hint: 'wait' });
  assert.deepEqual(packError(unpackError(decode(encode(packError(error)), 'error'))), packError(error));
  fc.assert(fc.property(json, (value) => unpackError(value) instanceof CovaultError));
  assert.equal(unpackError({ code: 'E_FUTURE', message: 'x', hint: null }).code, 'E_VERSION');
});

test('waits double up to the longest, half of each at random', () => {
  const backoff = { firstMs: 100, maxMs: 1000 };
  const least = [1, 2, 3, 4, 5, 60].map((failures) => backoffMs(failures, backoff, () => 0));
  assert.deepEqual(least, [50, 100, 200, 400, 500, 500]);
  assert.equal(
    backoffMs(9, backoff, (below) => below - 1),
    1000,
  );
});

test('a time to wait is believed within bounds, and what is no time is left out', () => {
  const retryOf = (retryAfterMs: unknown, header?: string) =>
    unpackError({ code: 'E_BUSY', message: 'busy', hint: null, retryAfterMs }, header).retryAfterMs;
  const dayMs = 24 * 60 * 60 * 1000;
  for (const wrong of [-1, Number.NaN, 'soon', null, undefined, 5n, {}]) assert.equal(retryOf(wrong), undefined);
  assert.equal(retryOf(1e300), dayMs);
  assert.equal(retryOf(undefined, '30'), 30_000);
  assert.equal(retryOf(250, '1'), 250, 'the message is finer than the header');
  for (const wrong of ['', '-1', '1.5', 'Fri, 31 Dec 1999 23:59:59 GMT', '9'.repeat(40)]) {
    assert.equal(retryOf(undefined, wrong), undefined);
  }
});
