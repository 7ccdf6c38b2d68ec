/** The check of encoded values before they are decoded: what it lets pass, and that nothing takes memory on its word. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decode, encode } from '../../src/core/codec.ts';
import { encodingDepthMax, encodingFault } from '../../src/core/encoding-check.ts';
import { isCovaultError } from '../../src/core/errors.ts';

const leaf = fc.oneof(
  fc.constant(null),
  fc.constant(undefined),
  fc.boolean(),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
  fc.double({ noNaN: true }),
  fc.string({ maxLength: 300 }),
  fc.uint8Array({ maxLength: 300 }),
);
const { value } = fc.letrec((tie) => ({
  value: fc.oneof({ maxDepth: 5 }, leaf, tie('list'), tie('map')),
  list: fc.array(tie('value'), { maxLength: 20 }),
  map: fc.dictionary(fc.string({ maxLength: 8 }), tie('value'), { maxKeys: 20 }),
}));

test('whatever encode makes passes', () => {
  fc.assert(fc.property(value, (any) => encodingFault(encode(any)) === undefined));
});

test('a value that is cut short anywhere, or followed by anything, is refused', () => {
  fc.assert(
    fc.property(value, fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 4 }), (any, at, more) => {
      const bytes = encode(any);
      assert.notEqual(encodingFault(bytes.subarray(0, at % bytes.byteLength)), undefined);
      assert.notEqual(encodingFault(Buffer.concat([bytes, more])), undefined);
    }),
  );
});

test('arbitrary bytes are decoded or refused as corrupt, nothing else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      try {
        decode(bytes, 'noise');
      } catch (error) {
        assert(isCovaultError(error, 'E_CORRUPT'), String(error));
      }
    }),
    { numRuns: 2000 },
  );
});

test('lists and maps that claim more items than there are bytes take no memory', () => {
  const list = Buffer.from([0xdd, 0x01, 0xff, 0xff, 0xff]);
  const nested = Buffer.concat(Array.from({ length: encodingDepthMax }, () => list));
  for (const bytes of [
    list,
    nested,
    Buffer.from([0xdf, 0xff, 0xff, 0xff, 0xff]),
    Buffer.from([0xdc, 0x00, 0x02, 0xc0]),
  ]) {
    assert.throws(
      () => decode(bytes, 'claim'),
      (error) => isCovaultError(error, 'E_CORRUPT'),
    );
  }
  // Each list alone would fit; together they claim more than is there.
  const greedy = Buffer.concat([Buffer.from([0xdc, 0x00, 0x20, 0xdc, 0x00, 0x20]), Buffer.alloc(40)]);
  assert.match(encodingFault(greedy) ?? '', /cut short/);
});

test('nesting is allowed to the bound and refused beyond it', () => {
  const nested = (levels: number) => Buffer.concat([Buffer.alloc(levels, 0x91), Buffer.from([0xc0])]);
  assert.equal(encodingFault(nested(encodingDepthMax)), undefined);
  assert.match(encodingFault(nested(encodingDepthMax + 1)) ?? '', /nested/);
  assert.match(encodingFault(nested(4_000_000)) ?? '', /nested/);
});

test('extensions but the one for undefined are refused', () => {
  for (const bytes of [[0xd4, 0x72, 0x40], [0xd6, 0xff, 0, 0, 0, 0], [0xc7, 0x01, 0x78, 0x00], [0xc1]]) {
    assert.notEqual(encodingFault(Uint8Array.from(bytes)), undefined);
  }
});
