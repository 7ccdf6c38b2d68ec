/** The pulling side of the peer protocol: blocks of any peer, and cuts with their objects of one client. */
import { randomId } from '../core/clock.ts';
import type { Digest } from '../core/digest.ts';
import { CovaultError, isCovaultError } from '../core/errors.ts';
import { limits } from '../core/limits.ts';
import type { ObjectKind } from '../core/ports.ts';
import type { Block } from '../core/recipe.ts';
import type { SnapshotException } from '../core/snapshot.ts';
import { pause, type Timers } from '../core/timers.ts';
import type { DirectoryEntry } from '../core/tree.ts';
import type { Connection } from '../remote/client.ts';
import { packDigests } from '../remote/digest-list.ts';
import { decodeFrames, type Frame } from '../remote/framing.ts';
import type { BlockAnswer, PeerChannel } from './channel.ts';
import { cutLeaseMs, holdWaitMsMax, type OpenCut, paths, unpackCutState } from './messages.ts';

/** Connections to peers by name, opened when first needed. */
export class PeerConnections implements PeerChannel {
  readonly #connect: (peer: string) => Promise<Connection>;
  readonly #connections = new Map<string, Promise<Connection>>();
  /** Not used for new requests; those under way may end. */
  readonly #retired = new Set<Promise<Connection>>();
  readonly #passes: (bytes: number, signal: AbortSignal) => Promise<void>;
  #closed = false;

  /** @param options.passes resolves when so many bytes of blocks may have come in: bounds the speed of all together. */
  constructor(
    connect: (peer: string) => Promise<Connection>,
    options: { passes?: (bytes: number, signal: AbortSignal) => Promise<void> } = {},
  ) {
    this.#connect = connect;
    this.#passes = options.passes ?? (async () => undefined);
  }

  /** @throws CovaultError `E_UNAVAILABLE` or whatever connecting throws. */
  to(peer: string): Promise<Connection> {
    if (this.#closed) return Promise.reject(new CovaultError('E_INTERRUPTED', 'connections are closed'));
    const known = this.#connections.get(peer);
    if (known) return known;
    const opening = this.#connect(peer);
    this.#connections.set(peer, opening);
    opening.catch(() => this.#connections.delete(peer));
    return opening;
  }

  /** The next use of `peer` asks anew where it is: it may have moved. */
  retire(peer: string): void {
    const known = this.#connections.get(peer);
    if (known) this.#retired.add(known);
    this.#connections.delete(peer);
  }

  async *blocks(
    peer: string,
    wanted: readonly Block[],
    options: { signal: AbortSignal; packed: boolean; onBytes(count: number): void },
  ): AsyncGenerator<BlockAnswer> {
    const connection = await this.to(peer);
    const body = { digests: packDigests(wanted.map((block) => block.digest)), packed: options.packed };
    const chunks = connection.stream(paths.blocks, body, { signal: options.signal });
    const payloadBytesMax = wanted.reduce((most, block) => Math.max(most, block.length), 0);
    const taken = counted(chunks, async (count) => {
      options.onBytes(count);
      await this.#passes(count, options.signal);
    });
    const frames = decodeFrames(taken, { payloadBytesMax, positions: wanted.length });
    try {
      for await (const frame of frames) {
        yield answerOf(frame);
      }
    } catch (error) {
      if (isCovaultError(error, 'E_UNAVAILABLE')) this.retire(peer);
      throw error;
    }
  }

  /** Closes all connections; requests under way fail. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const peer of [...this.#connections.keys()]) this.retire(peer);
    const closing = [...this.#retired].map((opening) => opening.then((connection) => connection.close()));
    await Promise.allSettled(closing);
  }
}

/** A cut at a client, kept open until it is closed or the client is lost. */
export interface RemoteCut {
  timeNs: bigint;
  root: DirectoryEntry;
  /** What in the trees is without content, or not known to be of one moment. */
  exceptions: readonly SnapshotException[];
  /**
   * Trees or recipes of the cut, unverified, in the order asked.
   *
   * @param digests at most `objectsPerRequestMax`.
   */
  objects(kind: ObjectKind, digests: readonly Digest[], options: { signal?: AbortSignal }): AsyncGenerator<BlockAnswer>;
  /** Asks the client. @throws CovaultError `E_NO_SPACE` if it could not keep the cut. */
  checkKept(): Promise<void>;
  /** Idempotent; a client that does not answer closes the cut by itself when its lease ends. */
  close(): Promise<void>;
}

const renewMs = cutLeaseMs / 3;
const closeMs = 5_000;

/**
 * Opens a cut and waits for it: the client first flushes and hashes what was written lately.
 *
 * @throws CovaultError whatever the client answers; `E_UNAVAILABLE` if it cannot be reached.
 */
export async function openRemoteCut(
  connection: Connection,
  options: { timers: Timers; signal?: AbortSignal },
): Promise<RemoteCut> {
  const { timers, signal } = options;
  const signalOption = signal ? { signal } : {};
  const cut = randomId();
  const close = () =>
    connection.call(paths.closeCut, { cut }, { timeoutMs: closeMs }).then(
      () => undefined,
      () => undefined,
    );
  try {
    await connection.call(paths.openCut, { cut }, signalOption);
    for (;;) {
      const hold = { cut, waitMs: holdWaitMsMax };
      const state = unpackCutState(await connection.call(paths.holdCut, hold, signalOption));
      if (state.state === 'open') return heldCut(connection, state, { cut, close, timers });
    }
  } catch (error) {
    await close();
    throw error;
  }
}

function heldCut(
  connection: Connection,
  { timeNs, root, exceptions }: OpenCut,
  parts: { cut: string; close: () => Promise<void>; timers: Timers },
): RemoteCut {
  const { cut, timers } = parts;
  const released = new AbortController();
  const renewing = renew(connection, cut, timers, released.signal);
  let closing: Promise<void> | undefined;
  return {
    timeNs,
    root,
    exceptions,
    async *objects(kind, digests, options) {
      const body = { cut, kind, digests: packDigests(digests), packed: true };
      const chunks = connection.stream(paths.objects, body, options);
      const frames = decodeFrames(chunks, {
        payloadBytesMax: limits.objectBytesMax,
        positions: digests.length,
      });
      let next = 0;
      for await (const frame of frames) {
        if (frame.position !== next++) throw new CovaultError('E_CORRUPT', 'objects come in another order than asked');
        yield answerOf(frame);
      }
      if (next < digests.length) throw new CovaultError('E_CORRUPT', `${digests.length - next} objects were left out`);
    },
    async checkKept() {
      try {
        await connection.call(paths.holdCut, { cut, waitMs: 0 }, { timeoutMs: closeMs });
      } catch (error) {
        if (isCovaultError(error, 'E_NO_SPACE')) throw error;
      }
    },
    close() {
      released.abort();
      closing ??= renewing.then(parts.close);
      return closing;
    },
  };
}

/** Extends the lease until `signal` is aborted or the cut is gone. */
async function renew(connection: Connection, cut: string, timers: Timers, signal: AbortSignal): Promise<void> {
  for (;;) {
    try {
      await pause(timers, renewMs, signal);
      await connection.call(paths.holdCut, { cut, waitMs: 0 }, { signal });
    } catch (error) {
      // A cut that is gone is found out by whoever uses it; what else went wrong may pass.
      if (signal.aborted || isCovaultError(error, 'E_NOT_FOUND') || isCovaultError(error, 'E_NO_SPACE')) return;
    }
  }
}

function answerOf(frame: Frame): BlockAnswer {
  const { position } = frame;
  return frame.kind === 'item'
    ? { position, bytes: frame.bytes, packed: frame.packed }
    : { position, bytes: undefined };
}

async function* counted(
  chunks: AsyncIterable<Uint8Array>,
  take: (count: number) => Promise<void>,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    await take(chunk.byteLength);
    yield chunk;
  }
}
