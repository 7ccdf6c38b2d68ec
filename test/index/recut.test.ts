/** Cutting again after a change gives what cutting the whole file gives, and reads little. */
import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { createDigester } from '../../src/core/digest.ts';
import type { Recipe, Segment } from '../../src/core/recipe.ts';
import { assembled, signedLengths } from '../../src/index/content.ts';
import { type HashTools, hashContent } from '../../src/index/content-hash.ts';
import { presentContent } from '../../src/index/content-reader.ts';
import { endOfFile, RangeSet } from '../../src/index/ranges.ts';
import { Recut } from '../../src/index/recut.ts';
import { noise, testDomain } from './index-fixture.ts';

const { cut, digestKey } = testDomain;
const unit = cut.minBytes;

/** A change of a file: bytes put somewhere, zeros put somewhere, or a new length. */
type Change = { kind: 'noise' | 'zeros'; at: number; length: number } | { kind: 'size'; size: number };

const position = fc.oneof(
  fc.nat(200_000),
  fc.nat(200).map((units) => units * unit),
);
const length = fc.oneof(
  fc.integer({ min: 1, max: 300 }),
  fc.integer({ min: 1, max: 40_000 }),
  fc.nat(20).map((units) => units * unit + 1),
);
const change = fc.oneof(
  fc.record({ kind: fc.constantFrom('noise' as const, 'zeros' as const), at: position, length }),
  fc.record({ kind: fc.constant('size' as const), size: position }),
);

test('cutting again around changes gives the segments of the whole file', () => {
  const files = new Files();
  try {
    fc.assert(
      fc.property(
        fc.array(change, { maxLength: 4 }),
        fc.array(change, { minLength: 1, maxLength: 5 }),
        (make, changes) => {
          const before = make.reduce(changed, noise(3, 60_000));
          const dirty = new RangeSet(unit);
          let after = before;
          for (const each of changes) {
            after = changed(after, each);
            if (each.kind === 'size') dirty.add(each.size, endOfFile);
            else dirty.add(each.at, each.at + each.length);
          }
          const old = files.hash(before).recipe;
          const again = files.hash(after, { segments: old.segments, dirty });
          assert.deepEqual(again.recipe, files.hash(after).recipe);
        },
      ),
      { numRuns: 400 },
    );
  } finally {
    files.remove();
  }
});

test('a small change within a large file hashes a few blocks', () => {
  const files = new Files();
  try {
    const before = noise(5, 1_000_000);
    const after = changed(before, { kind: 'noise', at: 500_000, length: 4096 });
    const dirty = new RangeSet(unit);
    dirty.add(500_000, 504_096);
    const again = files.hash(after, { segments: files.hash(before).recipe.segments, dirty });
    assert.ok(again.bytesHashed <= 4 * cut.maxBytes, `${again.bytesHashed} bytes were hashed`);
    assert.deepEqual(again.recipe, files.hash(after).recipe);
  } finally {
    files.remove();
  }
});

test('bytes appended to a file hash its last block and themselves', () => {
  const files = new Files();
  try {
    const before = noise(6, 1_000_000);
    const after = changed(before, { kind: 'noise', at: 1_000_000, length: 5000 });
    const dirty = new RangeSet(unit);
    dirty.add(1_000_000, 1_005_000);
    const again = files.hash(after, { segments: files.hash(before).recipe.segments, dirty });
    assert.ok(again.bytesHashed <= 2 * cut.maxBytes + 5000, `${again.bytesHashed} bytes were hashed`);
    assert.deepEqual(again.recipe, files.hash(after).recipe);
  } finally {
    files.remove();
  }
});

test('zeros are holes by whole units, whether the file system stores them or not', () => {
  const files = new Files();
  try {
    const bytes = Buffer.concat([noise(7, 5000), Buffer.alloc(20 * unit), noise(8, 3000)]);
    const holes = files.hash(bytes).recipe.segments.filter(({ digest }) => digest === undefined);
    assert.deepEqual(holes, [{ length: 20 * unit - (unit - (5000 % unit)) - ((5000 + 20 * unit) % unit) + 0 }]);
    assert.deepEqual(files.hash(Buffer.alloc(10 * unit + 7)).recipe.segments, [{ length: 10 * unit + 7 }]);
    assert.deepEqual(files.hash(Buffer.alloc(0)).recipe.segments, []);
  } finally {
    files.remove();
  }
});

function changed(bytes: Buffer, change: Change): Buffer {
  if (change.kind === 'size') {
    const resized = Buffer.alloc(change.size);
    bytes.copy(resized);
    return resized;
  }
  const result = Buffer.alloc(Math.max(bytes.byteLength, change.at + change.length));
  bytes.copy(result);
  if (change.kind === 'zeros') result.fill(0, change.at, change.at + change.length);
  else noise(change.at + change.length, change.length).copy(result, change.at);
  return result;
}

/** Hashes contents as a worker does, from a real file. */
class Files {
  readonly #directory = mkdtempSync(join(tmpdir(), 'covault-recut-'));
  readonly #tools: HashTools = {
    digester: createDigester(digestKey),
    cut,
    buffer: Buffer.alloc(64),
    zeros: Buffer.alloc(unit),
    checkStopped: () => undefined,
  };

  hash(
    bytes: Uint8Array,
    old?: { segments: readonly Segment[]; dirty: RangeSet },
  ): { recipe: Recipe; bytesHashed: number } {
    const path = join(this.#directory, 'file');
    writeFileSync(path, bytes);
    const fd = openSync(path, 'r');
    try {
      const recut =
        old &&
        new Recut(
          { lengths: signedLengths(old.segments), dirty: old.dirty.offsets },
          { unit, newSize: bytes.byteLength },
        );
      const { pieces, bytesHashed, size } = hashContent(presentContent(fd), bytes.byteLength, recut, this.#tools);
      const recipe = assembled(pieces, old?.segments ?? []);
      assert.equal(size, bytes.byteLength);
      assert.equal(recipe.size, bytes.byteLength);
      return { recipe, bytesHashed };
    } finally {
      closeSync(fd);
    }
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
