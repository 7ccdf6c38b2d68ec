/** Keys and values survive being packed, order is kept, and damaged ones are refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isCovaultError } from '../../src/core/errors.ts';
import { entryKinds } from '../../src/core/tree.ts';
import * as layout from '../../src/index/layout.ts';

const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const count = fc.maxSafeNat();
const bytes = fc.uint8Array({ minLength: 1, maxLength: 40 });
const digest = fc.uint8Array({ minLength: 32, maxLength: 32 });

const row: fc.Arbitrary<layout.InodeRow> = fc.record({
  kind: fc.constantFrom(...entryKinds),
  mode: fc.nat(0o7777),
  uid: fc.nat(),
  gid: fc.nat(),
  size: count,
  mtimeNs: int64,
  ctimeNs: int64,
  nlink: fc.nat(),
  rdev: uint64,
  target: fc.option(bytes, { nil: undefined }),
  xattrs: fc.array(fc.record({ name: bytes, value: bytes }), { maxLength: 3 }),
  content: fc.oneof<fc.Arbitrary<layout.RowContent | undefined>[]>(
    fc.constant(undefined),
    fc.record({ size: count, recipe: digest }),
    fc.constant({ size: 0, segments: [] }),
    digest.map((each) => ({ size: 30, segments: [{ digest: each, length: 10 }, { length: 20 }] })),
  ),
  stamp: fc.option(fc.record({ size: count, mtimeNs: int64, ctimeNs: int64, readAtNs: int64 }), { nil: undefined }),
});

const plain = (value: unknown) =>
  JSON.parse(JSON.stringify(value, (_, field) => (typeof field === 'bigint' ? `${field}n` : asList(field))));

function asList(field: unknown): unknown {
  if (field instanceof Uint8Array) return [...field];
  const json = field as { type?: string; data?: unknown } | undefined;
  return json?.type === 'Buffer' ? json.data : field;
}

test('an inode row comes back as it was', () => {
  fc.assert(
    fc.property(row, (each) => {
      assert.deepEqual(plain(layout.unpackRow(layout.packRow(each))), plain(each));
    }),
  );
});

test('places sort by directory and then by the bytes of the name, and come back', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(uint64, bytes), { minLength: 2, maxLength: 2 }), (places) => {
      const [a, b] = places as [[bigint, Uint8Array], [bigint, Uint8Array]];
      const [first, second] = [layout.placeKey(...a), layout.placeKey(...b)];
      const expected = a[0] === b[0] ? Buffer.compare(a[1], b[1]) : a[0] < b[0] ? -1 : 1;
      assert.equal(Buffer.compare(first, second), expected);
      assert.deepEqual(plain(layout.placeOfKey(first)), plain({ parent: a[0], name: a[1] }));
      const end = layout.endOfInode(a[0]);
      assert.ok(end === undefined || Buffer.compare(first, end) < 0);
    }),
  );
});

test('locations, placed digests and feed changes come back as they were', () => {
  const length = fc.nat(0xffff_ffff);
  fc.assert(
    fc.property(uint64, count, length, fc.array(digest), fc.array(digest), (inode, offset, bytesLong, gained, lost) => {
      const location = { inode, offset, length: bytesLong };
      assert.deepEqual(layout.unpackLocation(layout.packLocation(location)), location);
      const placed = gained.map((each) => ({ digest: each, offset, length: bytesLong }));
      assert.deepEqual(plain(layout.unpackPlacedDigests(layout.packPlacedDigests(placed))), plain(placed));
      assert.deepEqual(plain(layout.unpackFeedChange(layout.packFeedChange(gained, lost))), plain({ gained, lost }));
    }),
  );
});

test('what is no such record is refused', () => {
  const corrupt = (error: unknown) => isCovaultError(error, 'E_CORRUPT');
  assert.throws(() => layout.unpackRow(Buffer.from([0xc1])), corrupt);
  assert.throws(() => layout.unpackRow(Buffer.from([0x91, 0x01])), corrupt);
  assert.throws(() => layout.unpackFeedChange(Buffer.from([0, 0, 0, 2, 1])), corrupt);
  assert.throws(() => layout.unpackFeedChange(Buffer.from([1])), corrupt);
  assert.throws(() => layout.unpackRanges(Buffer.from([0x91, 0xff])), corrupt);
});
