/** Cutting by content: golden vectors, and what must hold for any content. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { type CutParameters, defaultCutParameters } from '../../src/core/domain.ts';
import { cutBlocks } from '../../src/fs/native.ts';

const small: CutParameters = { minBytes: 64, normalBytes: 256, maxBytes: 1024 };

/** Bytes without any pattern, the same on every machine: SHA-256 of a counter. */
function noise(length: number, seed: number): Uint8Array {
  const bytes = Buffer.alloc(Math.ceil(length / 32) * 32);
  for (let i = 0; i * 32 < length; i++)
    createHash('sha256')
      .update(`${seed}:${i}`)
      .digest()
      .copy(bytes, i * 32);
  return new Uint8Array(bytes.subarray(0, length));
}

/** Where blocks end. */
function boundaries(bytes: Uint8Array, cut = small): number[] {
  let position = 0;
  return Array.from(cutBlocks(bytes, cut, true), (length) => {
    position += length;
    return position;
  });
}

const content = fc
  .record({ length: fc.integer({ min: 0, max: 20_000 }), seed: fc.nat(), period: fc.constantFrom(0, 1, 7, 300) })
  .map(({ length, seed, period }) => {
    const bytes = noise(length, seed);
    // Repetitive content too: a period shorter than the hash's window never meets the mask, a longer one may.
    if (period > 0) for (let i = period; i < length; i++) bytes[i] = bytes[i % period] as number;
    return bytes;
  });

test('cutting gives the same blocks in every version and on every machine', () => {
  assert.deepEqual(
    [...cutBlocks(noise(3_000_000, 1), defaultCutParameters, true)],
    [78350, 351679, 292597, 320828, 314605, 324760, 208357, 291622, 84212, 352161, 333134, 47695],
  );
  const lengths = cutBlocks(noise(100_000, 2), small, true);
  const digest = createHash('sha256').update(lengths.join()).digest('hex');
  assert.equal(`${lengths.length} ${digest}`, '336 e5cdba59746d9dba773211a3227d534dfa67816429c36ac0158f473165f8e8d4');
});

test('blocks are those of the published algorithm', () => {
  fc.assert(
    fc.property(content, (bytes) => {
      assert.deepEqual([...cutBlocks(bytes, small, true)], referenceBlocks(bytes));
    }),
    { numRuns: 20 },
  );
});

test('blocks add up to the content and keep to the sizes', () => {
  fc.assert(
    fc.property(content, (bytes) => {
      const lengths = [...cutBlocks(bytes, small, true)];
      assert.equal(
        lengths.reduce((sum, length) => sum + length, 0),
        bytes.byteLength,
      );
      assert.ok(lengths.every((length) => length > 0 && length <= small.maxBytes));
      assert.ok(lengths.slice(0, -1).every((length) => length >= small.minBytes));
    }),
  );
});

test('blocks do not depend on how the content is handed over', () => {
  const windows = fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(content, windows, (bytes, sizes) => {
      const lengths: number[] = [];
      let start = 0;
      let end = 0;
      for (let i = 0; end < bytes.byteLength; i++) {
        end = Math.min(bytes.byteLength, end + (sizes[i % sizes.length] as number));
        const found = cutBlocks(bytes.subarray(start, end), small, end === bytes.byteLength);
        for (const length of found) {
          lengths.push(length);
          start += length;
        }
        assert.ok(end - start < small.maxBytes, 'as many bytes as the largest block has always decide');
      }
      assert.deepEqual(lengths, [...cutBlocks(bytes, small, true)]);
    }),
  );
});

test('an insertion moves only the boundaries near it', () => {
  const insertion = fc.record({
    seed: fc.nat(),
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    length: fc.integer({ min: 1, max: 500 }),
  });
  fc.assert(
    fc.property(insertion, ({ seed, at, length }) => {
      const before = noise(60_000, seed);
      const place = Math.floor(at * before.byteLength);
      const after = new Uint8Array(before.byteLength + length);
      after.set(before.subarray(0, place));
      after.set(noise(length, seed + 1), place);
      after.set(before.subarray(place), place + length);
      const old = boundaries(before);
      const moved = new Set(boundaries(after));
      assert.ok(
        old.filter((end) => end < place).every((end) => moved.has(end)),
        'those before it stay',
      );
      const lost = old.filter((end) => end >= place && !moved.has(end + length));
      // A cut is found again after a few blocks; twenty times the normal size is far beyond what chance makes of that.
      assert.ok(
        lost.every((end) => end < place + 20 * small.normalBytes),
        `lost ${lost} after ${place}`,
      );
    }),
    { numRuns: 200 },
  );
});

test('the usual size of a block is near the normal one', () => {
  const bytes = noise(2_000_000, 3);
  const mean = bytes.byteLength / boundaries(bytes).length;
  assert.ok(mean > small.normalBytes * 0.8 && mean < small.normalBytes * 1.5, `mean ${mean}`);
});

test('content that never meets the mask is cut at the largest size', () => {
  assert.deepEqual([...cutBlocks(new Uint8Array(2500), small, true)], [1024, 1024, 452]);
  assert.deepEqual([...cutBlocks(new Uint8Array(2500), small, false)], [1024, 1024]);
});

test('nothing has no blocks', () => {
  assert.deepEqual([...cutBlocks(new Uint8Array(0), small, true)], []);
});

test('parameters out of order are refused', () => {
  for (const cut of [
    { minBytes: 0, normalBytes: 256, maxBytes: 1024 },
    { minBytes: 512, normalBytes: 256, maxBytes: 1024 },
    { minBytes: 64, normalBytes: 256, maxBytes: 128 },
    { minBytes: 64.5, normalBytes: 256, maxBytes: 1024 },
    { minBytes: 64, normalBytes: 256, maxBytes: 2 ** 33 },
  ]) {
    assert.throws(() => cutBlocks(new Uint8Array(10), cut, true), { code: 'E_BAD_INPUT' });
  }
});

/** FastCDC as `docs/design/mount.md` describes it, written to be read; for the parameters `small`. */
function referenceBlocks(bytes: Uint8Array): number[] {
  const mask = (ones: number) => {
    let bits = 0n;
    for (let i = 0; i < ones; i++) bits |= 1n << BigInt(63 - Math.floor((i * 48) / ones));
    return bits;
  };
  // The normal size, 256, has 8 bits: two more are asked for below it, two fewer above.
  const [hard, easy] = [mask(10), mask(6)];
  const lengths: number[] = [];
  for (let start = 0; start < bytes.byteLength; start += lengths.at(-1) as number) {
    const end = Math.min(start + small.maxBytes, bytes.byteLength);
    let hash = 0n;
    let position = start + small.minBytes - 64;
    while (position < end) {
      hash = BigInt.asUintN(64, (hash << 1n) + (gear[bytes[position] as number] as bigint));
      const length = position - start + 1;
      position += 1;
      if (length > small.minBytes && (hash & (length <= small.normalBytes ? hard : easy)) === 0n) break;
    }
    lengths.push(Math.min(position, end) - start);
  }
  return lengths;
}

/** SplitMix64 from the seed "covault1". */
const gear: bigint[] = (() => {
  const wrap = (value: bigint) => BigInt.asUintN(64, value);
  let state = 0x636f7661756c7431n;
  return Array.from({ length: 256 }, () => {
    state = wrap(state + 0x9e3779b97f4a7c15n);
    let mixed = wrap((state ^ (state >> 30n)) * 0xbf58476d1ce4e5b9n);
    mixed = wrap((mixed ^ (mixed >> 27n)) * 0x94d049bb133111ebn);
    return mixed ^ (mixed >> 31n);
  });
})();
