/** One request and its answer between two simulated hosts: everything that can go wrong with a connection. */
import { decode, encode } from '../../src/core/codec.ts';
import { CovaultError, isCovaultError } from '../../src/core/errors.ts';
import { limits } from '../../src/core/limits.ts';
import { encodeError, parseMessage, publicError, unpackError } from '../../src/remote/protocol.ts';
import type { Answer } from '../../src/remote/route.ts';
import { callerAt, type Host, type Listener, type SimNetwork, type UnderWay } from './network.ts';
import type { SimProcess } from './process.ts';

/** Bytes of headers. */
const overheadBytes = 300;
/** Parts of a stream that are on their way or wait at the reader before the sender is held up. */
const windowParts = 2;
/** A reader that takes nothing for so long is given up by the sender. */
const stallMs = 60_000;
const lateMsMax = 8_000;

export interface Ends {
  network: SimNetwork;
  from: Host;
  to: Host;
  /** Where `to` listened when the caller looked. */
  url: string;
  /** Who asks. */
  process: SimProcess;
}

type Mishap = 'none' | 'request lost' | 'answer lost' | 'late' | 'broken within';

export class Exchange {
  readonly #ends: Ends;
  readonly #path: string;
  readonly #atServer = new AbortController();
  readonly #broken = Promise.withResolvers<never>();
  readonly #mishap: Mishap;
  readonly #entry: UnderWay;
  readonly #queue: Uint8Array[] = [];
  /** Bytes on their way or not taken by the reader. */
  #unread = 0;
  #isComplete = false;
  #isOver = false;
  #wakeReader: () => void = () => undefined;
  #wakeWriter: () => void = () => undefined;
  readonly #forget: (() => void)[] = [];

  constructor(ends: Ends, path: string) {
    this.#ends = ends;
    this.#path = path;
    this.#broken.promise.catch(() => undefined);
    const { network, from, to } = ends;
    const { lossShare } = network.pair(from, to);
    this.#mishap =
      lossShare > 0 && network.random.chance(lossShare)
        ? network.random.pick<Mishap>(['request lost', 'answer lost', 'late', 'broken within'])
        : 'none';
    if (this.#mishap !== 'none') network.trouble([from, to]);
    this.#entry = { path, from: from.name, to: to.name, sinceMs: network.time.monotonicMs() };
    network.underWay.add(this.#entry);
    this.#forget.push(ends.process.onKill(() => this.leave()));
  }

  /** Sends the request; resolves with the answer, a stream of which nothing has been read yet included. */
  ask(body: unknown): Promise<{ body: unknown } | { isStream: true }> {
    return Promise.race([this.#ask(body), this.#broken.promise]);
  }

  /** The next bytes of a stream; undefined at its end. */
  async read(): Promise<Uint8Array | undefined> {
    while (this.#queue.length === 0 && !this.#isComplete) {
      await Promise.race([
        new Promise<void>((resolve) => {
          this.#wakeReader = resolve;
        }),
        this.#broken.promise,
      ]);
    }
    const chunk = this.#queue.shift();
    if (chunk === undefined) return undefined;
    this.#unread -= chunk.byteLength;
    this.#wakeWriter();
    return chunk;
  }

  /** The caller is done with it, or gone: the server hears of it when the news can reach it. */
  leave(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#queue.length = 0;
    const { network, from, to } = this.#ends;
    network.underWay.delete(this.#entry);
    for (const forget of this.#forget) forget();
    if (!from.isDark) void this.#afterDistance(from, to).then(() => this.#stopServer());
  }

  async #ask(body: unknown): Promise<{ body: unknown } | { isStream: true }> {
    const { network, from, to, process } = this.#ends;
    const bytes = encode(body);
    if (bytes.byteLength > limits.requestBytesMax) throw new CovaultError('E_TOO_LARGE', `a request to ${this.#path}`);
    if (this.#mishap === 'late') await process.work(network.random.below(lateMsMax));
    await network.leave(from, bytes.byteLength + overheadBytes);
    await network.arrive(from, to, this.#path, bytes.byteLength);
    if (to.isDark) await new Promise(() => undefined);
    const { listener } = to;
    if (listener === undefined || to.url !== this.#ends.url || this.#mishap === 'request lost') throw connectionReset();
    const forget = listener.process.onKill(() => void this.#serverDied());
    this.#forget.push(forget);
    const answer = await listener.process.guard(this.#answer(listener, bytes));
    if ('stream' in answer) {
      void this.#send(answer.stream, listener).finally(forget);
      return { isStream: true };
    }
    forget();
    await network.leave(to, answer.bytes.byteLength + overheadBytes);
    await network.arrive(to, from, `${this.#path} answered`, answer.bytes.byteLength);
    if (this.#mishap === 'answer lost' || this.#mishap === 'broken within') throw connectionReset();
    if (answer.failed) throw unpackError(decode(answer.bytes, 'error'));
    return { body: decode(answer.bytes, 'answer') };
  }

  /** What the server does with a request, as `remote/server.ts` would. */
  async #answer(
    listener: Listener,
    bytes: Uint8Array,
  ): Promise<{ stream: StartedStream } | { failed: boolean; bytes: Uint8Array }> {
    try {
      const answer = await this.#handle(listener, bytes);
      if ('body' in answer) return { failed: false, bytes: encode(answer.body) };
      if (!('stream' in answer)) throw new CovaultError('E_VERSION', 'a page is no message');
      const chunks = answer.stream[Symbol.asyncIterator]();
      return { stream: { first: await chunks.next(), chunks } };
    } catch (error) {
      if (!isCovaultError(error) && !this.#atServer.signal.aborted) this.#ends.network.onDefect(error, this.#path);
      return { failed: true, bytes: encodeError(publicError(error)) };
    }
  }

  async #handle(listener: Listener, bytes: Uint8Array): Promise<Answer> {
    const route = listener.routes.get(this.#path);
    const peer = callerAt(this.#ends.from);
    if (route === undefined) throw new CovaultError('E_NOT_FOUND', `no route ${this.#path}`);
    if (route.roles !== 'anyone') {
      listener.admit?.(peer);
      if (!route.roles.includes(peer.role)) throw new CovaultError('E_AUTH', `a ${peer.role} may not`);
    }
    if (bytes.byteLength > route.bodyBytesMax) throw new CovaultError('E_TOO_LARGE', 'the body is too large');
    return route.handle({ peer, body: parseMessage(bytes, route.parse), signal: this.#atServer.signal });
  }

  /** Sends a stream at the reader's pace; what follows closely travels together. */
  async #send({ first, chunks }: StartedStream, { process }: Listener): Promise<void> {
    const { network, from, to } = this.#ends;
    const breaksAfter = this.#mishap === 'broken within' ? network.random.below(512 * 1024) : Number.POSITIVE_INFINITY;
    let sent = 0;
    let held: Uint8Array[] = [];
    let heldBytes = 0;
    let arrival: Promise<void> = Promise.resolve();
    const sendHeld = async () => {
      const parcel = held;
      const bytes = heldBytes;
      held = [];
      heldBytes = 0;
      sent += bytes;
      this.#unread += bytes;
      await process.guard(network.leave(to, bytes));
      const before = arrival;
      arrival = Promise.all([before, network.arrive(to, from, this.#path, bytes)]).then(() => this.#deliver(parcel));
    };
    const partBytes = network.partBytes(to, from);
    try {
      for (let next = first; !next.done && !this.#atServer.signal.aborted; next = await process.guard(chunks.next())) {
        for (let at = 0; at < next.value.byteLength; at += partBytes) {
          const part = next.value.subarray(at, at + partBytes);
          held.push(part);
          heldBytes += part.byteLength;
          if (heldBytes < partBytes && part.byteLength < 1024) continue;
          await sendHeld();
          if (sent > breaksAfter) throw connectionReset();
          await this.#roomInWindow(process, partBytes * windowParts);
        }
      }
      if (heldBytes > 0) await sendHeld();
      // Whoever is gone takes nothing: what is on its way to them is not waited for.
      await Promise.race([arrival, this.#callerGone]);
      this.#isComplete = true;
      this.#wakeReader();
    } catch (error) {
      if (!isCovaultError(error) && !isReset(error) && !this.#atServer.signal.aborted) {
        network.onDefect(error, this.#path);
      }
      this.#broken.reject(connectionReset());
    } finally {
      void chunks.return?.();
    }
  }

  #deliver(parcel: Uint8Array[]): void {
    // What nobody takes any more is never acknowledged either.
    if (!this.#isOver) this.#queue.push(...parcel);
    this.#wakeReader();
  }

  async #roomInWindow(process: SimProcess, windowBytes: number): Promise<void> {
    while (this.#unread > windowBytes && !this.#atServer.signal.aborted) {
      let isStalled = false;
      await new Promise<void>((resolve) => {
        const cancel = process.after(stallMs, () => {
          isStalled = true;
          resolve();
        });
        this.#wakeWriter = () => {
          cancel();
          resolve();
        };
      });
      if (isStalled) throw connectionReset();
    }
  }

  get #callerGone(): Promise<void> {
    const { signal } = this.#atServer;
    return new Promise((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }

  #stopServer(): void {
    if (!this.#atServer.signal.aborted) this.#atServer.abort(new CovaultError('E_INTERRUPTED', 'the caller is gone'));
    this.#wakeWriter();
  }

  async #serverDied(): Promise<void> {
    const { from, to } = this.#ends;
    // A killed process's kernel says so; a machine without power does not.
    if (to.isDark) return;
    await this.#afterDistance(to, from);
    this.#broken.reject(connectionReset());
  }

  async #afterDistance(from: Host, to: Host): Promise<void> {
    const { network } = this.#ends;
    await new Promise<void>((resolve) => network.time.after(network.distanceMs(from, to), resolve));
    await network.healed(from, to);
  }
}

interface StartedStream {
  first: IteratorResult<Uint8Array>;
  chunks: AsyncIterator<Uint8Array>;
}

export function connectionReset(): Error {
  return Object.assign(new Error('the connection was reset'), { code: 'ECONNRESET' });
}

function isReset(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ECONNRESET';
}
