/**
 * The pull: runs a plan over a `PeerChannel`. Asks as `scheduler.ts` decides, verifies each block where it arrives,
 * hands it to the store and waits until the store has room for more.
 *
 * In memory are at most as many blocks as requests under way (`requestsMax`), beside what the store holds.
 */
import type { Clock } from '../core/clock.ts';
import { type Digester, digestHex, digestsEqual } from '../core/digest.ts';
import { CovaultError, type ErrorCode } from '../core/errors.ts';
import type { HolderLookup, SnapshotSink } from '../core/ports.ts';
import type { Block } from '../core/recipe.ts';
import type { SourceUse } from '../core/snapshot.ts';
import type { Timers } from '../core/timers.ts';
import { type BlockAnswer, type PeerChannel, unlessAborted } from './channel.ts';
import { judgeError } from './judge.ts';
import type { DropReason } from './peer-health.ts';
import type { NeededBlocks, Plan } from './plan.ts';
import { type Action, type Ending, Scheduler, type SchedulerOptions } from './scheduler.ts';
import { StaleReports } from './stale-reports.ts';

export interface PullOptions extends Omit<SchedulerOptions, 'needed' | 'plan' | 'nowMs'> {
  channel: PeerChannel;
  sink: Pick<SnapshotSink, 'addBlock' | 'flush'>;
  digester: Digester;
  holders: Pick<HolderLookup, 'reportMissing'>;
  clock: Clock;
  timers: Timers;
  signal?: AbortSignal;
  onProgress?(progress: PullProgress): void;
}

/** Where a pull stands. Bytes are of verified blocks. */
export interface PullProgress {
  blocks: number;
  blocksTotal: number;
  bytes: number;
  bytesTotal: number;
  sourceBytes: number;
  /** Every peer but the source that the map named, in order of their numbers. */
  peers: { peer: string; bytes: number; bytesPerSecond: number | undefined }[];
  /** Since the beginning. */
  seconds: number;
}

export interface PullResult {
  /** Bytes of blocks of use by peer, the source left out. */
  peerBytes: Map<string, number>;
  sourceBytes: number;
  /** Of those, how many for which reason. */
  sourceUse: SourceUse;
  /** Bytes per second of those peers of whom enough came to tell. */
  speeds: Map<string, number>;
  /** Bytes of blocks that came twice. */
  wastedBytes: number;
  /** Numbers of the blocks that nobody has any more, the source included. */
  lost: number[];
  /** Peers that were not asked any more, and why. */
  dropped: { peer: string; reason: DropReason }[];
  /** Blocks that each peer was said to hold and did not: wrong entries of the map that were met and reported. */
  lacked: Map<string, number>;
}

const progressMs = 200;
/**
 * What has come is made durable when so many bytes of it waited for so long, so that little is pulled twice after a
 * crash. Each time ends a pack and its index, which should not be small ones.
 */
const flushes = [
  { afterMs: 1_000, bytesMin: 8 * 1024 * 1024 },
  { afterMs: 15_000, bytesMin: 4 * 1024 * 1024 },
] as const;
/** Reports to the repository are waited for this long at the end. */
const reportMs = 5_000;

/**
 * Pulls all blocks of the plan into the sink.
 *
 * @throws CovaultError what the sink threw; `E_INTERRUPTED` when aborted; when only the source could send what is left
 *   and it does not: `E_UNAVAILABLE`, `E_CORRUPT` or `E_AUTH`. What came before stays in the sink.
 */
export async function pull(needed: NeededBlocks, plan: Plan, options: PullOptions): Promise<PullResult> {
  const run = new PullRun(needed, plan, options);
  return run.result();
}

class PullRun {
  readonly #needed: NeededBlocks;
  readonly #options: PullOptions;
  readonly #scheduler: Scheduler;
  readonly #reports: StaleReports;
  readonly #requests = new Map<number, AbortController>();
  readonly #tasks = new Set<Promise<void>>();
  readonly #end = Promise.withResolvers<void>();
  readonly #startMs: number;
  readonly #bytesTotal: number;
  #hasEnded = false;
  #failure: { error: unknown } | undefined;
  #cancelTimer: () => void = () => undefined;
  #progressAtMs = 0;
  #flushedAtMs: number;
  #flushedBytes = 0;
  #flushing = false;

  constructor(needed: NeededBlocks, plan: Plan, options: PullOptions) {
    this.#needed = needed;
    this.#options = options;
    this.#startMs = options.clock.monotonicMs();
    this.#flushedAtMs = this.#startMs;
    this.#scheduler = new Scheduler({ ...options, needed, plan, nowMs: this.#startMs });
    this.#reports = new StaleReports(options.holders);
    this.#bytesTotal = needed.lengths.reduce((sum, length) => sum + length, 0);
  }

  async result(): Promise<PullResult> {
    const { signal, timers } = this.#options;
    const stop = () =>
      this.#finish(new CovaultError('E_INTERRUPTED', 'the pull was stopped', { cause: signal?.reason }));
    signal?.addEventListener('abort', stop, { once: true });
    try {
      if (signal?.aborted) stop();
      this.#decide();
      await this.#end.promise;
    } finally {
      signal?.removeEventListener('abort', stop);
      this.#cancelTimer();
      for (const controller of this.#requests.values()) controller.abort(givenUp);
      await Promise.all(this.#tasks);
      await withinMs(timers, reportMs, this.#reports.drain());
    }
    if (this.#failure) throw this.#failure.error;
    this.#checkNotStuck();
    this.#progress(true);
    return this.#summary();
  }

  get #nowMs(): number {
    return this.#options.clock.monotonicMs();
  }

  /** Lets the scheduler decide and does what it says. */
  #decide(): void {
    if (this.#hasEnded) return;
    this.#cancelTimer();
    // One reading for the decision and for when to decide again: what became possible between two would be waited for
    // in vain.
    const nowMs = this.#nowMs;
    const actions = this.#scheduler.decide(nowMs);
    for (const action of actions) this.#act(action);
    this.#progress(false);
    this.#flushSometimes();
    if (this.#scheduler.isOver) {
      this.#finish();
      return;
    }
    const wakeAtMs = this.#scheduler.wakeAt(nowMs);
    if (wakeAtMs === undefined) return;
    this.#cancelTimer = this.#options.timers.after(Math.max(0, wakeAtMs - this.#nowMs), () => this.#decide());
  }

  #act(action: Action): void {
    if (action.kind === 'cancel') {
      this.#requests.get(action.id)?.abort(givenUp);
      return;
    }
    const controller = new AbortController();
    this.#requests.set(action.id, controller);
    const task: Promise<void> = this.#request(action, controller.signal).finally(() => this.#tasks.delete(task));
    this.#tasks.add(task);
  }

  /** Runs one request to its end; never rejects. */
  async #request(action: Extract<Action, { kind: 'ask' }>, signal: AbortSignal): Promise<void> {
    let ending: Ending;
    try {
      ending = await this.#receive(action, signal);
    } catch (error) {
      if (error instanceof SinkFailure) this.#finish(error.cause);
      ending = judgeError(error);
    }
    // Whatever it still holds is let go before another request takes its place.
    if (ending.kind !== 'whole') this.#requests.get(action.id)?.abort(givenUp);
    this.#requests.delete(action.id);
    this.#scheduler.ended(action.id, ending, this.#nowMs);
    this.#reports.send(action.peer);
    this.#decide();
  }

  async #receive(action: Extract<Action, { kind: 'ask' }>, signal: AbortSignal): Promise<Ending> {
    const { id, peer, packed } = action;
    const wanted = action.blocks.map((block) => this.#block(block));
    const onBytes = (count: number) => this.#scheduler.received(id, count, this.#nowMs);
    const answers = this.#options.channel.blocks(peer, wanted, { signal, packed, onBytes })[Symbol.asyncIterator]();
    try {
      for (;;) {
        this.#scheduler.waiting(id, this.#nowMs);
        const next = await unlessAborted(answers.next(), signal);
        this.#scheduler.working(id, this.#nowMs);
        if (next.done) return { kind: 'whole' };
        const lie = await this.#take(action, wanted, next.value);
        if (lie !== undefined) return { kind: 'lied', message: lie };
      }
    } finally {
      // Not waited for: a peer that hangs must not hold up the end, and what is freed is freed by the signal too.
      answers.return?.().catch(() => undefined);
    }
  }

  /** Takes in one answer. Returns what is wrong with it, if the peer cannot be trusted. */
  async #take(
    action: Extract<Action, { kind: 'ask' }>,
    wanted: readonly Block[],
    answer: BlockAnswer,
  ): Promise<string | undefined> {
    const block = wanted[answer.position];
    if (block === undefined || !this.#scheduler.expects(action.id, answer.position)) {
      return `answered what it was not asked, at position ${answer.position}`;
    }
    if (answer.bytes === undefined) {
      this.#reports.add(action.peer, block.digest);
      this.#scheduler.lacked(action.id, answer.position);
      return undefined;
    }
    const isTrue =
      answer.bytes.byteLength === block.length &&
      digestsEqual(this.#options.digester.digest(answer.bytes), block.digest);
    if (!isTrue) {
      this.#reports.add(action.peer, block.digest);
      return `sent wrong bytes for block ${digestHex(block.digest)}`;
    }
    const isNew = this.#scheduler.arrived(action.id, answer.position, this.#nowMs);
    if (this.#scheduler.hasActions) this.#decide();
    if (isNew) await this.#store(block, answer.bytes, answer.packed);
    return undefined;
  }

  async #store(block: Block, bytes: Uint8Array, packed: Uint8Array | undefined): Promise<void> {
    try {
      await this.#options.sink.addBlock(block, bytes, packed);
    } catch (cause) {
      throw new SinkFailure(cause);
    }
  }

  #block(number: number): Block {
    return { digest: this.#needed.digests.at(number), length: this.#needed.lengths[number] as number };
  }

  #finish(error?: unknown): void {
    this.#hasEnded = true;
    if (error !== undefined) this.#failure ??= { error };
    this.#end.resolve();
  }

  #checkNotStuck(): void {
    const { states, source } = this.#scheduler;
    if (!this.#scheduler.isStuck) return;
    const reason = source.health.dropped;
    const left = states.count - states.doneCount - states.lostCount;
    const codes: Record<DropReason['kind'], ErrorCode> = {
      unreachable: 'E_UNAVAILABLE',
      lied: 'E_CORRUPT',
      refused: 'E_AUTH',
    };
    throw new CovaultError(
      codes[reason?.kind ?? 'unreachable'],
      `${source.name} does not send ${left} blocks that nobody else has: ${reason?.message ?? source.health.lastFailure}`,
      { hint: 'take the snapshot again when it can be reached; what has come is kept' },
    );
  }

  #progress(isLast: boolean): void {
    const nowMs = this.#nowMs;
    if (!this.#options.onProgress || (!isLast && nowMs - this.#progressAtMs < progressMs)) return;
    this.#progressAtMs = nowMs;
    const { states, lanes, source } = this.#scheduler;
    this.#options.onProgress({
      blocks: states.doneCount,
      blocksTotal: states.count,
      bytes: states.doneBytes,
      bytesTotal: this.#bytesTotal,
      sourceBytes: source.bytes,
      peers: lanes
        .filter((lane) => !lane.isSource)
        .map((lane) => ({ peer: lane.name, bytes: lane.bytes, bytesPerSecond: lane.meter.bytesPerSecond(nowMs) })),
      seconds: (nowMs - this.#startMs) / 1000,
    });
  }

  #flushSometimes(): void {
    const { doneBytes } = this.#scheduler.states;
    const ms = this.#nowMs - this.#flushedAtMs;
    const bytes = doneBytes - this.#flushedBytes;
    if (this.#flushing || !flushes.some(({ afterMs, bytesMin }) => ms >= afterMs && bytes >= bytesMin)) return;
    this.#flushing = true;
    this.#flushedBytes = doneBytes;
    const task: Promise<void> = this.#options.sink
      .flush()
      .catch((error: unknown) => this.#finish(error))
      .finally(() => {
        this.#flushing = false;
        this.#flushedAtMs = this.#nowMs;
        this.#tasks.delete(task);
      });
    this.#tasks.add(task);
  }

  #summary(): PullResult {
    const { states, lanes, source } = this.#scheduler;
    const peers = lanes.filter((lane) => !lane.isSource);
    return {
      peerBytes: new Map(peers.map((lane) => [lane.name, lane.bytes])),
      sourceBytes: source.bytes,
      sourceUse: { ...this.#scheduler.sourceUse },
      speeds: new Map(peers.flatMap(({ name, meter }) => (meter.average === undefined ? [] : [[name, meter.average]]))),
      wastedBytes: lanes.reduce((sum, lane) => sum + lane.wastedBytes, 0),
      lost: states.lostBlocks(),
      dropped: peers.flatMap(({ name, health }) => (health.dropped ? [{ peer: name, reason: health.dropped }] : [])),
      lacked: new Map(peers.flatMap(({ name, lackedCount }) => (lackedCount > 0 ? [[name, lackedCount]] : []))),
    };
  }
}

/** Why a request is aborted that nobody needs any more. */
const givenUp = new CovaultError('E_INTERRUPTED', 'a request for blocks was given up');

/** The store refused a block: the pull cannot go on, and no peer is to blame. */
class SinkFailure extends Error {
  constructor(cause: unknown) {
    super('the store refused a block', { cause });
  }
}

async function withinMs(timers: Timers, ms: number, work: Promise<void>): Promise<void> {
  const timeout = Promise.withResolvers<void>();
  const cancel = timers.after(ms, timeout.resolve);
  await Promise.race([work, timeout.promise]);
  cancel();
}
