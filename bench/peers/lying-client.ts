/**
 * A client that joined the domain honestly, holds real files, tells the repository so, and then serves blocks as it
 * should not: `node lying-client.ts STATE DATA HOST:PORT MODE`. Prints one JSON line when it is known to the repository.
 */
import * as fs from 'node:fs';
import { openLog } from '../../src/commands/logging.ts';
import { loadJoined } from '../../src/commands/membership.ts';
import { keepThreadPoolAwake } from '../../src/commands/thread-pool.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { Digest } from '../../src/core/digest.ts';
import { openIndex } from '../../src/index/live-index.ts';
import { FeedPublisher } from '../../src/remote/feed-publisher.ts';
import { encodeFrames, type Frame } from '../../src/remote/framing.ts';
import { LeaseRenewal } from '../../src/remote/lease-renewal.ts';
import { openRepositoryClient } from '../../src/remote/repository-client.ts';
import { type Route, route } from '../../src/remote/route.ts';
import { startServer } from '../../src/remote/server.ts';
import { bodyBytesMax, paths, unpackBlocksRequest } from '../../src/snapshot/messages.ts';

export const lyingModes = ['wrong', 'short', 'endless', 'old', 'denies'] as const;
export type LyingMode = (typeof lyingModes)[number];

type Read = (digest: Digest) => Promise<Uint8Array | undefined>;

/** What an honest client would not send for a block. */
const answers: Record<
  Exclude<LyingMode, 'endless' | 'denies'>,
  (bytes: Uint8Array, before: Uint8Array) => Uint8Array
> = {
  wrong: (bytes) => Uint8Array.from(bytes, (byte, at) => (at === bytes.length - 1 ? byte ^ 1 : byte)),
  short: (bytes) => bytes.subarray(0, bytes.length >> 1),
  // What stood there once: another block of the same length.
  old: (bytes, before) => Uint8Array.from(bytes, (_, at) => before[at % before.length] ?? 0),
};

async function* framesOf(
  mode: Exclude<LyingMode, 'endless'>,
  digests: readonly Digest[],
  read: Read,
): AsyncGenerator<Frame> {
  let before: Uint8Array = Buffer.from('yesterday');
  for (const [position, digest] of digests.entries()) {
    // Like a client that has not got the block, it does not read in order to say so.
    const bytes = mode === 'denies' ? undefined : await read(digest);
    if (mode === 'denies' || !bytes) {
      yield { kind: 'absent', position };
      continue;
    }
    yield { kind: 'item', position, bytes: answers[mode](bytes, before) };
    before = bytes;
  }
}

/** A block that goes on for as long as somebody listens. */
async function* endless(): AsyncGenerator<Uint8Array> {
  const header = Buffer.alloc(9);
  header.writeUInt8(1, 0);
  header.writeUInt32BE(0xffff_ffff, 5);
  yield header;
  const chunk = Buffer.alloc(64 * 1024);
  for (;;) yield chunk;
}

function blocksRoute(mode: LyingMode, read: Read): Route {
  return route({
    method: 'POST',
    path: paths.blocks,
    roles: ['client', 'secondary', 'administrator'],
    bodyBytesMax,
    parse: unpackBlocksRequest,
    handle: async ({ body }) => ({
      stream: mode === 'endless' ? endless() : encodeFrames(framesOf(mode, body.digests, read)),
    }),
  });
}

async function main([stateDirectory, data, listen, mode]: string[]): Promise<void> {
  const isMode = (word: string | undefined): word is LyingMode => lyingModes.some((known) => known === word);
  if (!stateDirectory || !data || !listen || !isMode(mode)) throw new Error('usage: STATE DATA HOST:PORT MODE');
  keepThreadPoolAwake();
  const { domain, joined } = await loadJoined(stateDirectory);
  const directoryFd = fs.openSync(data, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  const index = await openIndex({ stateDirectory, directoryFd, domain, clock: systemClock });
  await index.level();
  const [host, port] = listen.split(':') as [string, string];
  const routes = [blocksRoute(mode, (digest) => index.readBlock(digest))];
  const log = openLog('silent');
  const onDefect = (error: unknown, path: string) => log.error({ error, path }, 'a request failed');
  const server = await startServer({ identity: joined.identity, host, port: Number(port), routes, onDefect });
  const repository = openRepositoryClient({ identity: joined.identity, url: joined.repositoryUrl });
  const stop = new AbortController();
  const { signal } = stop;
  const publisher = new FeedPublisher(repository, index.feed, { signal });
  const lease = () => ({ url: `https://${host}:${server.port}`, load: 0 });
  const renewal = new LeaseRenewal(repository, { signal, lease, clock: systemClock });
  const loops = Promise.all([publisher.run(), renewal.run()]);
  process.once('SIGTERM', async () => {
    stop.abort();
    await Promise.all([server.close(), repository.close(), loops.catch(() => undefined)]);
    await index.close();
    process.exit(0);
  });
  const isKnown = () =>
    publisher.state().phase === 'level' && publisher.state().acknowledged === index.feed.lastSequence();
  while (!isKnown()) await new Promise((resolve) => setTimeout(resolve, 50));
  process.stdout.write(`${JSON.stringify({ type: 'ready', mode })}\n`);
}

if (import.meta.main) await main(process.argv.slice(2));
