/** A set of ranges holds at least what was added, in order and apart. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { endOfFile, joined, RangeSet } from '../../src/index/ranges.ts';

const unit = 16;
const range = fc.tuple(fc.nat(5000), fc.nat(300)).map(([start, length]) => ({ start, end: start + length }));

test('whatever is added is in it, widened to units and no more, in order, nothing touching', () => {
  fc.assert(
    fc.property(fc.array(range, { maxLength: 60 }), (ranges) => {
      const set = new RangeSet(unit);
      const wanted = new Set<number>();
      for (const { start, end } of ranges) {
        set.add(start, end);
        for (let at = start; at < end; at++) wanted.add(Math.floor(at / unit));
      }
      const units: number[] = [];
      let last = -1;
      for (let at = 0; at < set.offsets.length; at += 2) {
        const [start, end] = [set.offsets[at] as number, set.offsets[at + 1] as number];
        assert.ok(start > last && end > start && start % unit === 0 && end % unit === 0);
        for (let each = start / unit; each < end / unit; each++) units.push(each);
        last = end;
      }
      assert.deepEqual(
        units,
        [...wanted].sort((a, b) => a - b),
      );
    }),
  );
});

test('very many ranges are joined with near ones, and none is lost', () => {
  const set = new RangeSet(1);
  const count = 140_000;
  for (let number = 0; number < count; number++) set.add(number * 10, number * 10 + 1);
  assert.ok(set.offsets.length <= 2 * 65_536);
  let at = 0;
  for (let number = 0; number < count; number++) {
    while ((set.offsets[at + 1] as number) <= number * 10) at += 2;
    assert.ok((set.offsets[at] as number) <= number * 10);
  }
});

test('a range to the end of the file stays one, and the whole takes everything in', () => {
  const set = new RangeSet(unit);
  set.add(100, endOfFile);
  set.add(5000, 6000);
  assert.deepEqual(set.offsets, [96, endOfFile]);
  assert.equal(joined(set, 'whole'), 'whole');
  assert.equal(joined(undefined, set), set);
  assert.equal(joined(undefined, undefined), undefined);
  assert.deepEqual(RangeSet.from(unit, set.offsets).offsets, set.offsets);
});
