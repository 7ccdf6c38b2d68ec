/**
 * What a peer with room for a request is asked for: its own queue, else what waits for somebody slower, else a second
 * copy of what somebody slower was asked for already. Decisions only; `scheduler.ts` keeps the books.
 */
import type { BlockStates } from './block-states.ts';
import { nobody } from './holder-sets.ts';
import type { Lane, Outstanding, SourceReason } from './lane.ts';

/** A request costs about this much besides its bytes, seconds. */
const requestOverheadSeconds = 0.05;
/** A second copy must come this much sooner than the first. */
const hedgeFactor = 1.5;
const hedgeSeconds = 0.2;
/** Second copies asked for in all, as a share of all bytes, and at least. */
const hedgeShareMax = 0.05;
const hedgeBytesMin = 32 * 1024 * 1024;
/** Speed taken for peers as long as no speed is known, bytes per second. */
const bytesPerSecondGuess = 10e6;

export class WorkChooser {
  readonly #states: BlockStates;
  readonly #lanes: readonly Lane[];
  readonly #sourceFreeAtMs: number;
  /** (thief, victim) to the victim's additions when nothing was found; nothing will be until they change. */
  readonly #fruitless = new Map<number, number>();
  #hedgeBytesLeft: number;
  #nowMs = 0;
  #usualRate = bytesPerSecondGuess;
  #someoneIsDoubted = false;
  readonly #sourceMaySets = new Map<number, boolean>();

  /** @param options.lanes the peers by number, the source as the last. */
  constructor(states: BlockStates, lanes: readonly Lane[], sourceFreeAtMs: number) {
    this.#states = states;
    this.#lanes = lanes;
    this.#sourceFreeAtMs = sourceFreeAtMs;
    const totalBytes = lanes.reduce((sum, lane) => sum + lane.queue.bytes, 0);
    this.#hedgeBytesLeft = Math.max(hedgeBytesMin, totalBytes * hedgeShareMax);
  }

  /** Must be called when time has passed or a peer's state changed. */
  observe(nowMs: number): void {
    this.#nowMs = nowMs;
    this.#usualRate = usualRateOf(this.#lanes, nowMs) ?? bytesPerSecondGuess;
    this.#someoneIsDoubted = this.#lanes.some((lane) => !lane.isSource && !this.#isCountedOn(lane));
    this.#sourceMaySets.clear();
  }

  /** Blocks for a request to `lane`, taken from their queues; none if it has nothing to do. */
  choose(lane: Lane): number[] {
    const own = lane.queue.take(lane.requestSize(this.#nowMs));
    if (own.length > 0) return own;
    const stolen = this.#steal(lane);
    return stolen.length > 0 ? stolen : this.#hedge(lane);
  }

  /** Seconds until `lane` is through with everything it has, as things look now. */
  secondsToEnd(lane: Lane): number {
    return lane.secondsFor(lane.queue.bytes, this.#usualRate, this.#nowMs);
  }

  /** Where a block that came back from a failed request should wait: undefined if nobody is left who could send it. */
  laneFor(block: number): Lane | undefined {
    let best: Lane | undefined;
    let bestSeconds = Number.POSITIVE_INFINITY;
    for (const number of this.#states.needed.sets.peersOf(this.#states.holdersOf(block))) {
      const lane = this.#lanes[number] as Lane;
      if (lane.health.dropped !== undefined) continue;
      const seconds = this.secondsToEnd(lane);
      if (best === undefined || seconds < bestSeconds) {
        best = lane;
        bestSeconds = seconds;
      }
    }
    if (best !== undefined) return best;
    return this.#states.sourceLacks(block) ? undefined : this.#lanes.at(-1);
  }

  /** Why the source is asked for `block` now. */
  whyOfSource(block: number): SourceReason {
    if (this.#states.needed.holders[block] === nobody) return 'onlyHolder';
    const others = this.#states.needed.sets
      .peersOf(this.#states.holdersOf(block))
      .map((peer) => this.#lanes[peer] as Lane)
      .filter((lane) => lane.health.dropped === undefined);
    if (others.length === 0) return 'holdersFailed';
    return others.some((lane) => this.#isCountedOn(lane)) ? 'deadline' : 'notCountedOn';
  }

  #steal(thief: Lane): number[] {
    const victims = this.#lanes.filter((lane) => lane !== thief && lane.queue.bytes > 0);
    victims.sort((a, b) => this.secondsToEnd(b) - this.secondsToEnd(a) || a.number - b.number);
    for (const victim of victims) {
      const key = thief.number * this.#lanes.length + victim.number;
      if (!thief.isSource && this.#fruitless.get(key) === victim.queue.additions) continue;
      const size = this.#stealSize(thief, victim);
      if (size === undefined) continue;
      const blocks = victim.queue.steal(
        size,
        (set) => this.#maySend(thief, set),
        (block) => this.#maySendBlock(thief, block),
      );
      if (blocks.length > 0) return blocks;
      this.#fruitless.set(key, victim.queue.additions);
    }
    return [];
  }

  /** As much as makes both end at the same time; undefined if it would not help. */
  #stealSize(thief: Lane, victim: Lane): { bytes: number; blocks: number } | undefined {
    const size = thief.requestSize(this.#nowMs);
    if (thief.isSource || victim.isSource) return size;
    const victimSeconds = this.secondsToEnd(victim);
    if (victimSeconds === Number.POSITIVE_INFINITY) return size;
    const bytes = Math.min(size.bytes, this.#fairShare(thief, victim, victim.inFlightBytes + victim.queue.bytes));
    const seconds = bytes / this.#rateOf(thief) + requestOverheadSeconds;
    return victimSeconds > seconds ? { ...size, bytes } : undefined;
  }

  /** Blocks at the end of the request that will take longest, if `helper` would send them clearly sooner. */
  #hedge(helper: Lane): number[] {
    let slowest: Outstanding | undefined;
    let slowestSeconds = 0;
    for (const lane of this.#lanes) {
      if (lane === helper || (lane.isSource && helper.isSource)) continue;
      const perRequest = this.#rateOf(lane) / Math.max(1, lane.requests.size);
      for (const request of lane.requests) {
        const seconds = request.leftBytes / perRequest;
        if (seconds <= slowestSeconds || !this.#hasHedgeable(request, helper)) continue;
        slowest = request;
        slowestSeconds = seconds;
      }
    }
    if (slowest === undefined) return [];
    const bytesMax = Math.min(
      this.#fairShare(helper, slowest.lane, slowest.leftBytes),
      helper.requestSize(this.#nowMs).bytes,
    );
    const blocks = this.#hedgeable(slowest, helper, bytesMax);
    const bytes = blocks.reduce((sum, block) => sum + this.#states.lengthOf(block), 0);
    const helperSeconds = bytes / this.#rateOf(helper) + requestOverheadSeconds;
    if (slowestSeconds < hedgeFactor * helperSeconds + hedgeSeconds || bytes > this.#hedgeBytesLeft) return [];
    this.#hedgeBytesLeft -= bytes;
    return blocks;
  }

  #hasHedgeable(request: Outstanding, helper: Lane): boolean {
    return request.blocks.some((block, position) => this.#isHedgeable(request, position, block, helper));
  }

  /** The last blocks of `request` that `helper` may send, at least one, up to `bytesMax`; in the order asked. */
  #hedgeable(request: Outstanding, helper: Lane, bytesMax: number): number[] {
    const blocks: number[] = [];
    let bytes = 0;
    for (let position = request.blocks.length - 1; position >= 0; position--) {
      const block = request.blocks[position] as number;
      if (!this.#isHedgeable(request, position, block, helper)) continue;
      bytes += this.#states.lengthOf(block);
      if (blocks.length > 0 && bytes > bytesMax) break;
      blocks.push(block);
    }
    return blocks.reverse();
  }

  #isHedgeable(request: Outstanding, position: number, block: number, helper: Lane): boolean {
    return (
      !request.isAnswered(position) &&
      this.#states.isAsked(block) &&
      this.#states.copiesOf(block) === 1 &&
      this.#maySendBlock(helper, block)
    );
  }

  #maySendBlock(lane: Lane, block: number): boolean {
    if (lane.isSource && this.#states.sourceLacks(block)) return false;
    return this.#maySend(lane, this.#states.holdersOf(block));
  }

  #maySend(lane: Lane, set: number): boolean {
    return lane.isSource ? this.#sourceMay(set) : this.#states.needed.sets.has(set, lane.number);
  }

  /** The source may send what nobody has who can be counted on. */
  #sourceMay(set: number): boolean {
    if (this.#nowMs >= this.#sourceFreeAtMs) return true;
    if (!this.#someoneIsDoubted) return set === 0;
    const known = this.#sourceMaySets.get(set);
    if (known !== undefined) return known;
    const may = this.#states.needed.sets.peersOf(set).every((peer) => !this.#isCountedOn(this.#lanes[peer] as Lane));
    this.#sourceMaySets.set(set, may);
    return may;
  }

  #isCountedOn(lane: Lane): boolean {
    const others = () =>
      usualRateOf(
        this.#lanes.filter((other) => other !== lane),
        this.#nowMs,
      );
    return lane.health.isCountedOn(this.#nowMs) && !lane.isStraggling(others, this.#nowMs);
  }

  /** The part of `bytes` with which `helper` and `other`, working at once, end together. */
  #fairShare(helper: Lane, other: Lane, bytes: number): number {
    const rate = this.#rateOf(helper);
    return (bytes * rate) / (rate + this.#rateOf(other));
  }

  #rateOf(lane: Lane): number {
    return lane.meter.bytesPerSecond(this.#nowMs) ?? this.#usualRate;
  }
}

/** The median of the known speeds. */
function usualRateOf(lanes: readonly Lane[], nowMs: number): number | undefined {
  const rates = lanes.map((lane) => lane.meter.bytesPerSecond(nowMs)).filter((rate) => rate !== undefined);
  return rates.sort((a, b) => a - b)[rates.length >>> 1];
}
