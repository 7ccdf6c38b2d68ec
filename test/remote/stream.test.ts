/** Streams over real connections: backpressure, aborts, breaks and stalls. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type CovaultError, isCovaultError } from '../../src/core/errors.ts';
import { type Connection, openConnection } from '../../src/remote/client.ts';
import { decodeFrames, encodeFrames, type Frame } from '../../src/remote/framing.ts';
import { parseNothing, route } from '../../src/remote/route.ts';
import { startServer } from '../../src/remote/server.ts';
import { rawSocket } from './raw-request.ts';
import { createTestDomain } from './test-domain.ts';

const chunkBytes = 256 * 1024;

/** A source of chunks that knows how many were taken, and when it was closed. */
class Source {
  taken = 0;
  closed = false;
  readonly #count: number;
  readonly #failAt: number;

  constructor(count: number, failAt = Number.POSITIVE_INFINITY) {
    this.#count = count;
    this.#failAt = failAt;
  }

  async *chunks(): AsyncGenerator<Uint8Array> {
    try {
      while (this.taken < this.#count) {
        if (this.taken === this.#failAt) throw new Error('the source broke');
        this.taken += 1;
        yield Buffer.alloc(chunkBytes, this.taken);
      }
    } finally {
      this.closed = true;
    }
  }
}

async function setUp(
  t: TestContext,
  stream: (signal: AbortSignal) => AsyncIterable<Uint8Array>,
  stallMs = 60_000,
): Promise<{ connection: Connection; url: string; domain: Awaited<ReturnType<typeof createTestDomain>> }> {
  const domain = await createTestDomain();
  const server = await startServer({
    identity: await domain.identity('server', 'client'),
    host: '127.0.0.1',
    port: 0,
    stallMs,
    closeGraceMs: 100,
    routes: [
      route({
        method: 'POST',
        path: '/v1/stream',
        roles: ['client'],
        bodyBytesMax: 64,
        parse: parseNothing,
        handle: async ({ signal }) => ({ stream: stream(signal) }),
      }),
    ],
  });
  t.after(() => server.close());
  const identity = await domain.identity('laptop', 'client');
  const connection = openConnection({ identity, url: server.url, expect: {} });
  t.after(() => connection.close());
  return { connection, url: server.url, domain };
}

/** Waits until `condition` holds; the test's own timeout is the limit. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(2);
}

/** Resolves when `value` has not changed for a while. */
async function settled(value: () => number): Promise<number> {
  for (let before = -1; before !== value(); ) {
    before = value();
    await sleep(150);
  }
  return value();
}

test('a stream arrives whole', { timeout: 20_000 }, async (t) => {
  const source = new Source(20);
  const { connection } = await setUp(t, () => source.chunks());
  let byteLength = 0;
  for await (const chunk of connection.stream('/v1/stream', null)) byteLength += chunk.byteLength;
  assert.equal(byteLength, 20 * chunkBytes);
  assert.ok(source.closed);
});

test('an empty stream is a stream', { timeout: 20_000 }, async (t) => {
  const { connection } = await setUp(t, () => new Source(0).chunks());
  for await (const chunk of connection.stream('/v1/stream', null)) assert.fail(`${chunk.byteLength} bytes`);
});

test('a slow reader holds the source back on both sides', { timeout: 20_000 }, async (t) => {
  const source = new Source(4000);
  const { connection } = await setUp(t, () => source.chunks());
  const stream = connection.stream('/v1/stream', null);
  const first = await stream.next();
  assert.ok(!first.done);
  const before = process.memoryUsage().arrayBuffers;
  const taken = await settled(() => source.taken);
  // What the sockets of both sides hold, a few MiB of 1000; far from what a sender without backpressure would read.
  assert.ok(taken < 100, `${taken} chunks were taken for a reader that took one`);
  assert.ok(process.memoryUsage().arrayBuffers - before < 32 * 1024 * 1024);
  await stream.return(undefined);
  await until(() => source.closed);
});

test('leaving the loop frees the other side', { timeout: 20_000 }, async (t) => {
  const source = new Source(4000);
  const { connection } = await setUp(t, () => source.chunks());
  for await (const chunk of connection.stream('/v1/stream', null)) if (chunk.byteLength > 0) break;
  await until(() => source.closed);
});

test('aborting ends the stream here and the handler there', { timeout: 20_000 }, async (t) => {
  let released = false;
  const { connection } = await setUp(t, async function* (signal) {
    yield Buffer.from('x');
    await once(signal, 'abort');
    released = true;
  });
  const stop = new AbortController();
  const reading = (async () => {
    for await (const _chunk of connection.stream('/v1/stream', null, { signal: stop.signal })) stop.abort();
  })();
  await assert.rejects(reading, (error) => isCovaultError(error, 'E_INTERRUPTED'));
  await until(() => released);
});

test('a stream whose source breaks is not taken for whole', { timeout: 20_000 }, async (t) => {
  const { connection } = await setUp(t, () => new Source(10, 5).chunks());
  await assert.rejects(
    async () => {
      for await (const _chunk of connection.stream('/v1/stream', null));
    },
    (error) => isCovaultError(error, 'E_UNAVAILABLE'),
  );
});

test('a source that breaks before its first chunk is answered with an error', { timeout: 20_000 }, async (t) => {
  const { connection } = await setUp(t, () => new Source(10, 0).chunks());
  await assert.rejects(connection.stream('/v1/stream', null).next(), (error) => isCovaultError(error, 'E_IO'));
});

test('a stream that goes silent is given up', { timeout: 20_000 }, async (t) => {
  const { connection } = await setUp(t, async function* (signal) {
    yield Buffer.from('x');
    await once(signal, 'abort');
  });
  await assert.rejects(
    async () => {
      for await (const _chunk of connection.stream('/v1/stream', null, { idleMs: 100 }));
    },
    (error: CovaultError) => isCovaultError(error, 'E_UNAVAILABLE') && /in time/.test(error.message),
  );
});

test('a reader that takes nothing any more is given up', { timeout: 20_000 }, async (t) => {
  const source = new Source(4000);
  const { url, domain } = await setUp(t, () => source.chunks(), 100);
  const socket = await rawSocket(url, await domain.identity('laptop', 'client'));
  t.after(() => socket.destroy());
  socket.on('error', () => undefined);
  socket.pause();
  socket.write(
    'POST /v1/stream HTTP/1.1\r\nhost: x\r\ncovault-protocol: 1\r\ncontent-type: application/x-covault-msgpack\r\ncontent-length: 1\r\n\r\n\xc0',
    'latin1',
  );
  await until(() => source.closed);
});

test('frames travel over a connection, and the error of their source with them', { timeout: 20_000 }, async (t) => {
  const frames: Frame[] = Array.from({ length: 50 }, (_, position) =>
    position % 7 === 3
      ? { kind: 'absent', position }
      : { kind: 'item', position, bytes: Buffer.alloc(50_000 * position, position) },
  );
  const { connection } = await setUp(t, () => encodeFrames(frames));
  const received: Frame[] = [];
  const bounds = { payloadBytesMax: 4_000_000, positions: 50 };
  for await (const frame of decodeFrames(connection.stream('/v1/stream', null), bounds)) received.push(frame);
  assert.deepEqual(received, frames);
});
