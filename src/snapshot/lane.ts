/** One peer during a pull: its queue, its requests under way, its speed and its health. The source is a lane too. */
import { limits } from '../core/limits.ts';
import type { SourceUse } from '../core/snapshot.ts';
import type { PeerHealth } from './peer-health.ts';
import { RateMeter } from './rate-meter.ts';
import type { RequestSize, WorkQueue } from './work-queue.ts';

/** Why the source is asked for a block. */
export type SourceReason = Exclude<keyof SourceUse, 'objects'>;

/** A request under way. */
export class Outstanding {
  readonly id: number;
  readonly lane: Lane;
  /** Block numbers in the order asked. */
  readonly blocks: readonly number[];
  /** Of the source: why it was asked for each block. */
  reasons: readonly SourceReason[] = [];
  readonly #answered: Uint8Array;
  readonly #lengths: Uint32Array;
  leftBytes = 0;
  leftCount: number;
  /** Monotonic ms since when it waits without a byte; undefined while the answer is being worked on. */
  waitingSinceMs: number | undefined;

  constructor(id: number, lane: Lane, blocks: readonly number[], lengths: Uint32Array) {
    this.id = id;
    this.lane = lane;
    this.blocks = blocks;
    this.#answered = new Uint8Array(blocks.length);
    this.#lengths = lengths;
    this.leftCount = blocks.length;
    for (const block of blocks) this.leftBytes += lengths[block] as number;
  }

  isAnswered(position: number): boolean {
    return this.#answered[position] === 1;
  }

  answer(position: number): void {
    this.#answered[position] = 1;
    this.leftCount -= 1;
    this.leftBytes -= this.#lengths[this.blocks[position] as number] as number;
  }

  /** Blocks not answered yet, in the order asked. */
  left(): number[] {
    return this.blocks.filter((_, position) => !this.isAnswered(position));
  }

  /** How long it may wait for a byte: 4 seconds, or 4 seconds per megabyte of its longest block. */
  stallMs(): number {
    const longest = this.blocks.reduce((most, block) => Math.max(most, this.#lengths[block] as number), 0);
    return Math.max(4_000, (4_000 * longest) / 1e6);
  }
}

/** Seconds of a peer's work that one request should be. */
const requestSeconds = 0.5;
const requestBytesMin = 512 * 1024;
const requestBytesMax = 8 * 1024 * 1024;
/** While a peer's speed is unknown. */
const requestBytesFirst = 1024 * 1024;
/** A peer below this share of both its own best and the others' usual speed holds everybody up. */
const stragglingShare = 1 / 20;
/** Below this many bytes per second for a while a peer is as good as gone. */
const stragglingBytesPerSecond = 8 * 1024;
const stragglingAfterSeconds = 5;

/**
 * Bytes a second on the wire below which a peer compresses what it sends. There it costs the peer at most a fifth of a
 * core (5 ms per megabyte); on faster links that would be more, for less time saved.
 */
const packedBelow = 20e6;

export class Lane {
  readonly number: number;
  readonly name: string;
  readonly isSource: boolean;
  readonly queue: WorkQueue;
  readonly health: PeerHealth;
  readonly meter = new RateMeter();
  readonly requests = new Set<Outstanding>();
  /** Bytes of verified blocks that were of use. */
  bytes = 0;
  /** Bytes of verified blocks that had come from somebody else before. */
  wastedBytes = 0;
  /** Blocks it was said to hold and did not. */
  lackedCount = 0;

  constructor(options: { number: number; name: string; isSource: boolean; queue: WorkQueue; health: PeerHealth }) {
    this.number = options.number;
    this.name = options.name;
    this.isSource = options.isSource;
    this.queue = options.queue;
    this.health = options.health;
  }

  get inFlightBytes(): number {
    let bytes = 0;
    for (const request of this.requests) bytes += request.leftBytes;
    return bytes;
  }

  /** What one request to this peer should be. */
  requestSize(nowMs: number): RequestSize {
    const rate = this.meter.bytesPerSecond(nowMs);
    const bytes = rate === undefined ? requestBytesFirst : rate * requestSeconds;
    return {
      bytes: this.health.isOnProbation ? requestBytesMin : Math.max(requestBytesMin, Math.min(requestBytesMax, bytes)),
      blocks: limits.blocksPerRequestMax,
    };
  }

  /** Whether its link, rather than its processor, is what to be careful with. Unknown speeds count as slow. */
  isWorthPacking(nowMs: number): boolean {
    return (this.meter.bytesPerSecond(nowMs) ?? 0) < packedBelow;
  }

  /**
   * Seconds until it will have sent `bytes` more than it was asked for; infinite if it is not asked now.
   *
   * @param usualRate for a peer whose speed is unknown, bytes per second.
   */
  secondsFor(bytes: number, usualRate: number, nowMs: number): number {
    if (!this.health.isUsable(nowMs)) return Number.POSITIVE_INFINITY;
    return (this.inFlightBytes + bytes) / (this.meter.bytesPerSecond(nowMs) ?? usualRate);
  }

  /**
   * So slow of late that nobody should wait for it.
   *
   * @param othersRate the usual speed of the others, bytes per second; undefined if there are none to compare with.
   */
  isStraggling(othersRate: () => number | undefined, nowMs: number): boolean {
    const rate = this.meter.bytesPerSecond(nowMs);
    if (rate === undefined || this.meter.waitedSeconds < stragglingAfterSeconds) return false;
    if (rate < stragglingBytesPerSecond) return true;
    return rate < this.meter.peak * stragglingShare && rate < (othersRate() ?? Infinity) * stragglingShare;
  }
}
