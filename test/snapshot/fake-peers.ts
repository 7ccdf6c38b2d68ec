/** Peers without sockets: links of a given speed in virtual time, and every way to misbehave. */
import { type Digest, type DigestKey, digestKey } from '../../src/core/digest.ts';
import { CovaultError } from '../../src/core/errors.ts';
import type { Block } from '../../src/core/recipe.ts';
import { pause } from '../../src/core/timers.ts';
import { type BlockAnswer, type PeerChannel, unlessAborted } from '../../src/snapshot/channel.ts';
import type { VirtualTime } from './virtual-time.ts';

/** What a peer does wrong, from its block number `after` on (counted over all requests). */
export type Fault =
  | { kind: 'none' }
  /** Says of some blocks that it lacks them: those whose first digest byte is below `share` of 256. */
  | { kind: 'lacks'; share: number }
  | { kind: 'lies' | 'short' | 'endless' | 'stalls' | 'dies' | 'truncates'; after: number }
  /** Refuses the first `times` requests, and may say when it wants to be asked again. */
  | { kind: 'busy'; times: number; retryAfterMs?: number }
  /** Breaks the first `times` requests, then is well. */
  | { kind: 'restarts'; after: number; times: number }
  | { kind: 'refuses' }
  /** Goes on at this share of its speed. */
  | { kind: 'slows'; after: number; share: number };

export interface FakePeer {
  name: string;
  bytesPerSecond: number;
  latencyMs: number;
  fault: Fault;
  holds(digest: Digest): boolean;
}

/** What was asked and what was sent. */
export interface Traffic {
  /** Digests asked of each peer, with repetitions. */
  asked: Map<string, DigestKey[]>;
  sentBytes: Map<string, number>;
  underWay: number;
  underWayMost: number;
  /** Most requests to one peer at the same time. */
  underWayMostToOne: number;
}

export class FakeChannel implements PeerChannel {
  readonly traffic: Traffic = {
    asked: new Map(),
    sentBytes: new Map(),
    underWay: 0,
    underWayMost: 0,
    underWayMostToOne: 0,
  };
  readonly #peers: Map<string, FakePeer>;
  readonly #time: VirtualTime;
  readonly #content: (digest: Digest) => Uint8Array;
  readonly #freeAtMs = new Map<string, number>();
  readonly #sent = new Map<string, number>();
  readonly #requests = new Map<string, number>();
  readonly #underWay = new Map<string, number>();

  constructor(peers: readonly FakePeer[], time: VirtualTime, content: (digest: Digest) => Uint8Array) {
    this.#peers = new Map(peers.map((peer) => [peer.name, peer]));
    this.#time = time;
    this.#content = content;
  }

  async *blocks(
    name: string,
    wanted: readonly Block[],
    options: { signal: AbortSignal; onBytes(count: number): void },
  ): AsyncGenerator<BlockAnswer> {
    const peer = this.#peers.get(name);
    if (peer === undefined) throw new CovaultError('E_UNAVAILABLE', `there is no ${name}`);
    const asked = this.traffic.asked.get(name) ?? [];
    asked.push(...wanted.map((block) => digestKey(block.digest)));
    this.traffic.asked.set(name, asked);
    this.traffic.underWay += 1;
    this.traffic.underWayMost = Math.max(this.traffic.underWayMost, this.traffic.underWay);
    // A request that was given up counts no more, though it takes a moment to unwind.
    options.signal.addEventListener('abort', () => this.#underWay.set(name, (this.#underWay.get(name) ?? 1) - 1));
    const own = (this.#underWay.get(name) ?? 0) + 1;
    this.#underWay.set(name, own);
    this.traffic.underWayMostToOne = Math.max(this.traffic.underWayMostToOne, own);
    try {
      yield* this.#answers(peer, wanted, options);
    } finally {
      this.traffic.underWay -= 1;
      if (!options.signal.aborted) this.#underWay.set(name, (this.#underWay.get(name) ?? 1) - 1);
    }
  }

  async *#answers(
    peer: FakePeer,
    wanted: readonly Block[],
    options: { signal: AbortSignal; onBytes(count: number): void },
  ): AsyncGenerator<BlockAnswer> {
    const { fault } = peer;
    await pause(this.#time, peer.latencyMs, options.signal);
    const requests = (this.#requests.get(peer.name) ?? 0) + 1;
    this.#requests.set(peer.name, requests);
    if (fault.kind === 'busy' && requests <= fault.times) {
      const { retryAfterMs } = fault;
      throw new CovaultError('E_BUSY', 'busy', retryAfterMs === undefined ? {} : { retryAfterMs });
    }
    if (fault.kind === 'refuses') throw new CovaultError('E_AUTH', 'you may not');
    for (const [position, block] of wanted.entries()) {
      const sent = this.#sent.get(peer.name) ?? 0;
      this.#sent.set(peer.name, sent + 1);
      const isAtFault = 'after' in fault && sent >= fault.after;
      if (isAtFault && fault.kind === 'restarts' && requests <= fault.times) throw broken();
      if (isAtFault && fault.kind === 'dies') throw broken();
      if (isAtFault && fault.kind === 'short') return;
      if (isAtFault && fault.kind === 'stalls') await unlessAborted(new Promise<never>(() => {}), options.signal);
      if (!peer.holds(block.digest) || (fault.kind === 'lacks' && (block.digest[0] as number) < fault.share * 256)) {
        options.onBytes(9);
        yield { position, bytes: undefined };
        continue;
      }
      const bytes = this.#content(block.digest);
      const share = isAtFault && fault.kind === 'slows' ? fault.share : 1;
      await this.#transfer(peer, bytes.byteLength, { ...options, share });
      yield { position, bytes: spoiled(bytes, isAtFault ? fault.kind : 'none') };
      while (isAtFault && fault.kind === 'endless') {
        await this.#transfer(peer, bytes.byteLength, { ...options, share });
        yield { position, bytes };
      }
    }
  }

  /** One block at a time passes the link of a peer, in parts so that a slow one is seen to be alive. */
  async #transfer(
    peer: FakePeer,
    bytes: number,
    options: { signal: AbortSignal; onBytes(count: number): void; share: number },
  ): Promise<void> {
    const partBytes = 64 * 1024;
    for (let left = bytes; left > 0; left -= partBytes) {
      const part = Math.min(left, partBytes);
      const startMs = Math.max(this.#time.monotonicMs(), this.#freeAtMs.get(peer.name) ?? 0);
      const endMs = startMs + (part / (peer.bytesPerSecond * options.share)) * 1000;
      this.#freeAtMs.set(peer.name, endMs);
      await pause(this.#time, endMs - this.#time.monotonicMs(), options.signal);
      this.traffic.sentBytes.set(peer.name, (this.traffic.sentBytes.get(peer.name) ?? 0) + part);
      options.onBytes(part);
    }
  }
}

function broken(): CovaultError {
  return new CovaultError('E_UNAVAILABLE', 'the connection broke');
}

function spoiled(bytes: Uint8Array, kind: Fault['kind']): Uint8Array {
  if (kind === 'truncates') return bytes.slice(0, -1);
  if (kind !== 'lies') return bytes;
  const wrong = new Uint8Array(bytes);
  wrong[0] = (wrong[0] as number) ^ 1;
  return wrong;
}
