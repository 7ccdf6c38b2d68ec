/** Offset arithmetic over recipes. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { locateSegments, partsOfRange, segmentAt } from '../../src/browse/recipe-ranges.ts';
import type { Segment } from '../../src/core/recipe.ts';

const lengths = fc.array(fc.integer({ min: 1, max: 50 }), { maxLength: 40 });

function recipeOf(all: number[]) {
  const segments: Segment[] = all.map((length, position) =>
    position % 3 === 2 ? { length } : { digest: new Uint8Array(32).fill(position), length },
  );
  return locateSegments({ size: all.reduce((sum, length) => sum + length, 0), segments });
}

describe('a range of a recipe', () => {
  it('is made up of consecutive parts that cover it once', () => {
    fc.assert(
      fc.property(lengths, fc.nat({ max: 2500 }), fc.nat({ max: 2500 }), (all, offset, length) => {
        const recipe = recipeOf(all);
        // For each byte of the file: its segment and its place in it.
        const bytes = recipe.segments.flatMap((segment) =>
          Array.from({ length: segment.length }, (_, at) => ({ segment, at })),
        );
        const expected = bytes.slice(offset, offset + length);
        const covered = partsOfRange(recipe, offset, length).flatMap((part) => {
          assert.ok(part.length > 0);
          return Array.from({ length: part.length }, (_, n) => ({ segment: part.segment, at: part.from + n }));
        });
        assert.deepEqual(covered, expected);
        let at = 0;
        for (const part of partsOfRange(recipe, offset, length)) {
          assert.equal(part.at, at);
          at += part.length;
        }
      }),
    );
  });

  it('begins in the segment that holds its first byte, far beyond 32 bits too', () => {
    const huge = locateSegments({
      size: 2 ** 45 + 30,
      segments: [{ length: 10 }, { length: 2 ** 45 }, { length: 20 }],
    });
    assert.equal(segmentAt(huge, 9), 0);
    assert.equal(segmentAt(huge, 10), 1);
    assert.equal(segmentAt(huge, 2 ** 45 + 9), 1);
    assert.equal(segmentAt(huge, 2 ** 45 + 10), 2);
    assert.deepEqual(partsOfRange(huge, 2 ** 45 + 25, 100), [{ segment: { length: 20 }, from: 15, length: 5, at: 0 }]);
    assert.deepEqual(partsOfRange(huge, huge.size, 5), []);
  });
});
