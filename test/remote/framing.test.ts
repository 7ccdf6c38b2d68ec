/** Frames in streams that are cut anywhere, cut short, or made of anything. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CovaultError, isCovaultError } from '../../src/core/errors.ts';
import { decodeFrames, encodeFrames, type Frame, packItem } from '../../src/remote/framing.ts';

const payloadBytesMax = 300;

const frames = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('absent' as const), position: fc.nat(999) }),
    fc.record({
      kind: fc.constant('item' as const),
      position: fc.nat(999),
      bytes: fc.uint8Array({ maxLength: payloadBytesMax }),
    }),
  ),
  { maxLength: 12 },
);

async function joined(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

/** The same bytes in chunks whose lengths repeat `lengths`; zero makes an empty chunk. */
async function* cut(bytes: Uint8Array, lengths: number[]): AsyncGenerator<Uint8Array> {
  let at = 0;
  for (let i = 0; at < bytes.byteLength; i += 1) {
    const length = lengths[i % lengths.length] ?? 1;
    yield Buffer.from(bytes.subarray(at, at + length));
    at += length;
  }
}

async function decodeAll(chunks: AsyncIterable<Uint8Array>, bytesMax = payloadBytesMax): Promise<Frame[]> {
  const all: Frame[] = [];
  for await (const frame of decodeFrames(chunks, { payloadBytesMax: bytesMax, positions: 1000 })) all.push(frame);
  return all;
}

const plain = (list: Frame[]) =>
  list.map((frame) => ({
    ...frame,
    ...(frame.kind === 'item'
      ? { bytes: [...frame.bytes], ...(frame.packed ? { packed: [...frame.packed] } : {}) }
      : {}),
  }));

const lengths = fc
  .array(fc.nat(40), { minLength: 1, maxLength: 6 })
  .filter((list) => list.some((length) => length > 0));

const isCorrupt = (error: unknown) => isCovaultError(error, 'E_CORRUPT');

test('frames come out as they went in, however the stream is cut', async () => {
  await fc.assert(
    fc.asyncProperty(frames, lengths, async (list, sizes) => {
      const bytes = await joined(encodeFrames(list));
      assert.deepEqual(plain(await decodeAll(cut(bytes, sizes))), plain(list as Frame[]));
    }),
  );
});

test('a stream cut short anywhere is an error, and so is one with more behind its end', async () => {
  await fc.assert(
    fc.asyncProperty(
      frames,
      lengths,
      fc.nat(),
      fc.uint8Array({ minLength: 1, maxLength: 20 }),
      async (list, sizes, at, more) => {
        const bytes = await joined(encodeFrames(list));
        await assert.rejects(decodeAll(cut(bytes.subarray(0, at % bytes.byteLength), sizes)), isCorrupt);
        await assert.rejects(decodeAll(cut(Buffer.concat([bytes, more]), sizes)), isCorrupt);
      },
    ),
  );
});

test('arbitrary bytes are frames or corrupt, nothing else', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 60 }), lengths, async (bytes, sizes) => {
      await decodeAll(cut(bytes, sizes)).catch((error) => assert.ok(isCovaultError(error), String(error)));
    }),
    { numRuns: 500 },
  );
});

test('a payload at the bound passes and one byte more does not, before any of it is read', async () => {
  const item = (byteLength: number): Frame => ({ kind: 'item', position: 0, bytes: new Uint8Array(byteLength) });
  assert.equal((await decodeAll(encodeFrames([item(payloadBytesMax)]))).length, 1);
  await assert.rejects(decodeAll(encodeFrames([item(payloadBytesMax + 1)])), isCorrupt);
});

test('positions that nobody asked for are corrupt', async () => {
  await assert.rejects(decodeAll(encodeFrames([{ kind: 'absent', position: 1000 }])), isCorrupt);
});

test('a large claimed length takes no memory before the bytes come', async () => {
  const claim = Buffer.from([1, 0, 0, 0, 0, 0x10, 0, 0, 0]);
  const before = process.memoryUsage().arrayBuffers;
  let during = 0;
  const chunks = (async function* () {
    yield claim;
    yield new Uint8Array(10);
    during = process.memoryUsage().arrayBuffers;
  })();
  await assert.rejects(decodeAll(chunks, 0x10000000), isCorrupt);
  assert.ok(during - before < 32 * 1024 * 1024, `${during - before} bytes`);
});

test('payloads that grow beyond the first allocation arrive whole', async () => {
  const bytes = new Uint8Array(9 * 1024 * 1024).map((_, i) => i % 251);
  const [frame] = await decodeAll(encodeFrames([{ kind: 'item', position: 3, bytes }]), bytes.byteLength);
  assert.ok(frame?.kind === 'item' && Buffer.compare(frame.bytes, bytes) === 0);
});

test('what the sender throws is thrown at the receiver, after the frames before it', async () => {
  const failing = (async function* (): AsyncGenerator<Frame> {
    yield { kind: 'absent', position: 4 };
    throw new CovaultError('E_BUSY', 'the disk sleeps', { hint: 'wait' });
  })();
  const received: Frame[] = [];
  await assert.rejects(
    async () => {
      for await (const frame of decodeFrames(encodeFrames(failing), { payloadBytesMax, positions: 5 }))
        received.push(frame);
    },
    (error) => isCovaultError(error, 'E_BUSY') && error.hint === 'wait',
  );
  assert.deepEqual(received, [{ kind: 'absent', position: 4 }]);
});

test('one frame is pulled at a time, and leaving early closes the source', async () => {
  let pulled = 0;
  let closed = false;
  const source = (async function* (): AsyncGenerator<Frame> {
    try {
      for (;;) {
        pulled += 1;
        yield { kind: 'item', position: 0, bytes: new Uint8Array(40_000) };
      }
    } finally {
      closed = true;
    }
  })();
  let taken = 0;
  for await (const _frame of decodeFrames(encodeFrames(source), { payloadBytesMax: 40_000, positions: 1 })) {
    taken += 1;
    assert.equal(pulled, taken);
    if (taken === 5) break;
  }
  assert.ok(closed);
});

test('packed items come out as items, and are fewer bytes on the way where that is possible', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), fc.nat(50), lengths, async (piece, times, sizes) => {
      const bytes = Buffer.concat(Array.from({ length: times }, () => piece));
      const frame = await packItem({ position: 7, bytes });
      const wire = await joined(encodeFrames([frame]));
      assert.ok(wire.byteLength <= bytes.byteLength + 18, 'never more than the item as it is');
      if (times > 1 && piece.byteLength > 300) assert.equal(frame.kind, 'packed');
      const list = await decodeAll(cut(wire, sizes), bytes.byteLength);
      const packed = frame.kind === 'packed' ? { packed: frame.packed } : {};
      assert.deepEqual(plain(list), plain([{ kind: 'item', position: 7, bytes, ...packed }]));
    }),
  );
});

test('small frames go out together, as far as nobody waits for the next one, and large ones as they are', async () => {
  const small = (position: number): Frame => ({ kind: 'item', position, bytes: new Uint8Array(100) });
  const large = new Uint8Array(50_000);
  const frames = [small(0), small(1), { kind: 'wait' } as const, { kind: 'wait' } as const, small(2)];
  const chunks: Uint8Array[] = [];
  for await (const chunk of encodeFrames([...frames, { kind: 'item', position: 3, bytes: large }, small(4)])) {
    chunks.push(chunk);
  }
  // Two items; an item and the header of the large one; the large one; an item and the end.
  assert.deepEqual(
    chunks.map(({ byteLength }) => byteLength),
    [218, 118, 50_000, 118],
  );
  assert.equal(chunks[2], large);
  const whole = await decodeAll(cut(Buffer.concat(chunks), [1000]), 50_000);
  assert.equal(whole.length, 5);
});

test('a packed item that names another length, or more than was asked for, is refused', async () => {
  const frame = await packItem({ position: 0, bytes: new Uint8Array(100_000) });
  assert.ok(frame.kind === 'packed');
  for (const length of [0, 1, 99_999, 100_001, 0xffff_ffff]) {
    await assert.rejects(decodeAll(encodeFrames([{ ...frame, length }]), 200_000), isCorrupt);
  }
  await assert.rejects(decodeAll(encodeFrames([frame]), 99_999), isCorrupt);
  const rubbish = { ...frame, packed: frame.packed.map((byte) => byte ^ 0x55) };
  await assert.rejects(decodeAll(encodeFrames([rubbish]), 200_000), isCorrupt);
});
