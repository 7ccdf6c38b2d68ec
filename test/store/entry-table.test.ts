/** The table of entries: as a map would do it, in far less memory. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { digestKey } from '../../src/core/digest.ts';
import { EntryTable, type Place, RowSet } from '../../src/store/entry-table.ts';
import { testBytes } from './store-fixture.ts';

const place: Place = { pack: 1, offset: 2, storedBytes: 3, rawBytes: 4, compressed: false, complete: false };

test('it finds exactly what was added, also among digests that begin alike', () => {
  // Few different first bytes: the worst case for a hash made of them.
  const digest = fc
    .tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 9 }))
    .map(([first, last]) => Uint8Array.from({ length: 32 }, (_, at) => (at === 0 ? first : at === 31 ? last : 0)));
  fc.assert(
    fc.property(
      fc.array(fc.tuple(digest, fc.nat(), fc.boolean())),
      fc.array(digest),
      fc.nat(5000),
      (added, asked, room) => {
        const table = new EntryTable();
        table.reserve(room);
        const map = new Map<string, Place>();
        for (const [key, pack, compressed] of added) {
          const row = table.add(key, { ...place, pack, compressed });
          if (!map.has(digestKey(key))) map.set(digestKey(key), { ...place, pack, compressed });
          assert.deepEqual(table.digest(row), key);
        }
        assert.equal(table.size, map.size);
        for (const key of [...asked, ...added.map(([key]) => key)]) {
          const row = table.find(key);
          assert.deepEqual(row < 0 ? undefined : table.place(row), map.get(digestKey(key)));
        }
      },
    ),
  );
});

test('a hundred thousand entries are found, at 64 bytes each at most', () => {
  const table = new EntryTable();
  const count = 100_000;
  const digests = testBytes(1, count * 32);
  const of = (row: number) => digests.subarray(row * 32, row * 32 + 32);
  for (let row = 0; row < count; row++) assert.equal(table.add(of(row), { ...place, offset: row }), row);
  for (let row = 0; row < count; row++) assert.equal(table.find(of(row)), row);
  assert.equal(table.find(testBytes(2, 32)), -1);
  assert.equal(table.place(77_777).offset, 77_777);
  assert.ok(table.memoryBytes / count <= 64, `${table.memoryBytes / count} bytes per entry`);
});

test('the largest values of every field are kept', () => {
  const table = new EntryTable();
  const largest: Place = {
    pack: 2 ** 32 - 1,
    offset: 2 ** 32 - 1,
    storedBytes: 2 ** 32 - 1,
    rawBytes: 2 ** 30 - 1,
    compressed: true,
    complete: true,
  };
  const row = table.add(testBytes(1, 32), largest);
  assert.deepEqual(table.place(row), largest);
  assert.equal(table.packOf(row), largest.pack);
  assert.throws(() => table.replace(row, { ...largest, rawBytes: 2 ** 30 }));
});

test('an entry can become complete and move to another place', () => {
  const table = new EntryTable();
  const row = table.add(testBytes(1, 32), place);
  assert.equal(table.isComplete(row), false);
  table.setComplete(row);
  assert.deepEqual(table.place(row), { ...place, complete: true });
  table.replace(row, { ...place, pack: 9, compressed: true });
  assert.deepEqual(table.place(row), { ...place, pack: 9, compressed: true });
  assert.equal(table.find(testBytes(1, 32)), row);
});

test('a set of rows has what was added, in order', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(50_000)), (rows) => {
      const set = new RowSet();
      const model = new Set<number>();
      for (const row of rows) {
        assert.equal(set.add(row), !model.has(row));
        model.add(row);
      }
      assert.equal(set.size, model.size);
      assert.deepEqual(
        [...set.rows()],
        [...model].sort((a, b) => a - b),
      );
      for (const row of rows) assert.equal(set.has(row) && !set.has(50_001 + row), true);
    }),
  );
});
