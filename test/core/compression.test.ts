/** Compression: only where it helps, and exact. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { constants, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { compress, decompress } from '../../src/core/compression.ts';
import { isOneFrame } from '../../src/core/zstd-frame.ts';
import { testBytes } from '../store/store-fixture.ts';

test('what was compressed comes back, and compressed is always smaller', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 60_000 }), fc.integer({ min: 1, max: 256 }), async (length, entropy) => {
      const bytes = testBytes(length, length, entropy);
      const packed = await compress(bytes);
      if (!packed) return;
      assert.ok(packed.byteLength < length);
      assert.deepEqual(new Uint8Array(await decompress(packed, length)), bytes);
    }),
    { numRuns: 60 },
  );
});

test('text is compressed, random bytes and tiny ones are not', async () => {
  for (const length of [300, 20_000, 300_000]) {
    assert.ok(await compress(testBytes(1, length, 8)), `${length} bytes of text`);
    assert.equal(await compress(testBytes(1, length)), undefined, `${length} random bytes`);
  }
  assert.equal(await compress(Uint8Array.of(7)), undefined);
});

test('a wrong length and damaged bytes are refused', async () => {
  for (const length of [1000, 50_000]) {
    const packed = await compress(testBytes(1, length, 4));
    assert.ok(packed);
    await assert.rejects(decompress(packed, length - 1), { code: 'E_CORRUPT' });
    await assert.rejects(decompress(packed, length + 1), { code: 'E_CORRUPT' });
    await assert.rejects(decompress(packed.subarray(0, packed.byteLength - 1), length), { code: 'E_CORRUPT' });
    await assert.rejects(decompress(testBytes(1, 100), length), { code: 'E_CORRUPT' });
  }
});

test('a small piece that claims to be huge is refused without taking that memory', async () => {
  const bomb = await compress(new Uint8Array(30_000_000));
  assert.ok(bomb && bomb.byteLength < 10_000);
  await assert.rejects(decompress(bomb, 1000), { code: 'E_CORRUPT' });
});

test('many at once, whole and broken, keep out of each other', async () => {
  const lengths = [0, 1, 300, 5000, 60_000, 131_072, 262_144, 300_000, 1_200_000];
  const whole = async (length: number, round: number) => {
    const bytes = testBytes(length + round, length, 16);
    const packed = await compress(bytes);
    if (packed) assert.deepEqual(new Uint8Array(await decompress(packed, length)), bytes);
  };
  const broken = async (length: number) => {
    const packed = (await compress(testBytes(3, 50_000, 4))) as Uint8Array;
    const damaged = Uint8Array.from(packed);
    damaged.fill(0xff, packed.byteLength >>> 1);
    for (const bad of [
      packed.subarray(0, length % packed.byteLength),
      Buffer.concat([packed, packed.subarray(0, 7)]),
      damaged,
    ])
      await assert.rejects(decompress(bad, 50_000), { code: 'E_CORRUPT' });
    await assert.rejects(decompress(packed, 100), { code: 'E_CORRUPT' });
  };
  const rounds = Array.from({ length: 12 }, (_, round) => round);
  await Promise.all(rounds.flatMap((round) => lengths.flatMap((length) => [whole(length, round), broken(length)])));
});

test('a frame of zstd ends where the next would begin, whatever its header says', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 400_000 }),
      fc.integer({ min: 1, max: 256 }),
      fc.boolean(),
      fc.boolean(),
      (length, entropy, hasChecksum, hasSize) => {
        const params = {
          [constants.ZSTD_c_checksumFlag]: Number(hasChecksum),
          [constants.ZSTD_c_contentSizeFlag]: Number(hasSize),
        };
        const frame = zstdCompressSync(testBytes(length, length, entropy), { params });
        assert.ok(isOneFrame(frame));
        assert.ok(!isOneFrame(frame.subarray(0, -1)));
        assert.ok(!isOneFrame(Buffer.concat([frame, Buffer.from([0])])));
        assert.ok(!isOneFrame(Buffer.concat([frame, frame])));
      },
    ),
    { numRuns: 60 },
  );
});
