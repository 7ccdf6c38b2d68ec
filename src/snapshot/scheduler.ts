/**
 * The pull as a state machine: told what happened and what time it is, says whom to ask for what. No sockets, no
 * clock, no timers: `pull.ts` has those, and a simulation can have others.
 *
 * Each block is in one of four states. Waiting: in exactly one queue. Asked: in at least one request. Done: verified
 * and handed to the store. Lost: no peer that is left has it and the source lacks it too. Times are monotonic ms.
 */
import { invariant } from '../core/errors.ts';
import { noSourceUse, type SourceUse } from '../core/snapshot.ts';
import { BlockStates } from './block-states.ts';
import { WorkChooser } from './choose-work.ts';
import { Lane, Outstanding, type SourceReason } from './lane.ts';
import { type DropReason, type Failure, type HealthTimes, PeerHealth } from './peer-health.ts';
import type { NeededBlocks, Plan } from './plan.ts';
import { GroupRests, WorkQueue } from './work-queue.ts';

export interface SchedulerOptions {
  needed: NeededBlocks;
  plan: Plan;
  /** Name of the source. */
  source: string;
  nowMs: number;
  /** Requests under way to one peer. */
  pipeline?: number;
  /** Requests under way in all: bounds memory at this many blocks. */
  requestsMax?: number;
  /** Upper bound for the source, bytes per second, until it is free. */
  sourceBytesPerSecondMax?: number;
  /** From then on the source may send anything, at any speed. */
  sourceFreeAtMs?: number;
  healthTimes?: Partial<HealthTimes>;
}

/** Something for the driver to do. */
export type Action =
  | { kind: 'ask'; id: number; peer: string; blocks: readonly number[]; packed: boolean }
  /** Nothing more is wanted of this request: all its blocks are done, failed or asked of others. */
  | { kind: 'cancel'; id: number };

/** What the driver found out about the end of a request. */
export type Ending =
  | { kind: 'whole' }
  | { kind: Failure; message: string }
  | { kind: 'busy'; message: string; retryAfterMs?: number }
  /** What came was not what was asked for, or the peer does not let us in: it is not asked again. */
  | { kind: 'lied' | 'refused'; message: string };

const defaults = { pipeline: 3, requestsMax: 32 } as const;
const sourcePipelineMax = 2;
/** With requests under way, speeds are looked at anew this often. */
const observeMs = 250;
/** Wrong answers of the source after which it is given up. */
const sourceLiesMax = 3;

export class Scheduler {
  readonly states: BlockStates;
  readonly lanes: readonly Lane[];
  /** Bytes of use from the source, by why it was asked for them. */
  readonly sourceUse: SourceUse = noSourceUse();
  readonly #chooser: WorkChooser;
  readonly #options: SchedulerOptions;
  readonly #requests = new Map<number, Outstanding>();
  #nextId = 1;
  #sourceLies = 0;
  /** Before this the source is not asked again, to stay below its bound. */
  #sourcePausedUntilMs = 0;
  #actions: Action[] = [];
  #isStuck = false;

  constructor(options: SchedulerOptions) {
    const { needed, plan } = options;
    this.#options = options;
    this.states = new BlockStates(needed);
    const rests = new GroupRests(plan.groups, needed.lengths);
    const lane = (number: number, name: string, groups: Uint32Array, isSource: boolean) =>
      new Lane({
        number,
        name,
        isSource,
        queue: new WorkQueue(rests, groups),
        health: new PeerHealth(options.healthTimes),
      });
    const peers = plan.queues.map((groups, peer) => lane(peer, needed.sets.nameOf(peer), groups, false));
    this.lanes = [...peers, lane(peers.length, options.source, plan.source, true)];
    this.#chooser = new WorkChooser(this.states, this.lanes, this.#sourceFreeAtMs);
  }

  get #sourceFreeAtMs(): number {
    return this.#options.sourceFreeAtMs ?? Number.POSITIVE_INFINITY;
  }

  get source(): Lane {
    return this.lanes.at(-1) as Lane;
  }

  /** Nothing is left to do: all blocks are done or lost, or nobody is left who could send the rest. */
  get isOver(): boolean {
    return this.states.isSettled || this.#isStuck;
  }

  /** Blocks are left that only the source could send, and the source is given up. */
  get isStuck(): boolean {
    return this.#isStuck;
  }

  /** `decide` has something to return at once. */
  get hasActions(): boolean {
    return this.#actions.length > 0;
  }

  /** Finds what has timed out, gives work to whoever has room, and returns what is to be done now. */
  decide(nowMs: number): Action[] {
    this.#failStalled(nowMs);
    this.#chooser.observe(nowMs);
    if (!this.isOver) this.#fill(nowMs);
    if (!this.states.isSettled && this.#requests.size === 0 && this.#nextWake(nowMs) === undefined) {
      this.#isStuck = true;
    }
    const actions = this.#actions;
    this.#actions = [];
    return actions;
  }

  /** When `decide` must be called again even if nothing happens; undefined if that would change nothing. */
  wakeAt(nowMs: number): number | undefined {
    return this.isOver ? undefined : this.#nextWake(nowMs);
  }

  /** A request waits for the next bytes. */
  waiting(id: number, nowMs: number): void {
    const request = this.#requests.get(id);
    if (request === undefined || request.waitingSinceMs !== undefined) return;
    request.waitingSinceMs = nowMs;
    request.lane.meter.beginWait(nowMs);
  }

  /** Bytes of any kind came. */
  received(id: number, bytes: number, nowMs: number): void {
    const request = this.#requests.get(id);
    if (request === undefined) return;
    request.lane.meter.received(bytes, nowMs);
    if (request.waitingSinceMs !== undefined) request.waitingSinceMs = nowMs;
  }

  /** What came is being worked on: the peer is not waited for. */
  working(id: number, nowMs: number): void {
    const request = this.#requests.get(id);
    if (request?.waitingSinceMs === undefined) return;
    request.waitingSinceMs = undefined;
    request.lane.meter.endWait(nowMs);
  }

  /** True if an answer at this position is expected. */
  expects(id: number, position: number): boolean {
    const request = this.#requests.get(id);
    return request !== undefined && position < request.blocks.length && !request.isAnswered(position);
  }

  /**
   * A block came and is what its digest says. Returns whether it is to be stored: false if another copy was sooner.
   * Other requests of which nothing is wanted any more are cancelled with the next `decide` (`hasActions`).
   */
  arrived(id: number, position: number, nowMs: number): boolean {
    const request = this.#request(id);
    const block = request.blocks[position] as number;
    const { lane } = request;
    request.answer(position);
    lane.health.succeeded();
    if (this.states.isDone(block)) {
      this.states.release(block);
      lane.wastedBytes += this.states.lengthOf(block);
      return false;
    }
    lane.bytes += this.states.lengthOf(block);
    if (lane.isSource) this.sourceUse[request.reasons[position] as SourceReason] += this.states.lengthOf(block);
    this.states.finish(block);
    this.states.release(block);
    if (this.states.copiesOf(block) > 0) this.#cancelUseless(nowMs);
    return true;
  }

  /** The peer says that it does not have the block. */
  lacked(id: number, position: number): void {
    const request = this.#request(id);
    const block = request.blocks[position] as number;
    request.answer(position);
    request.lane.health.succeeded();
    this.#denied(request.lane, block);
    if (this.states.release(block)) this.#queue(block);
  }

  /** A request is over; what it leaves unanswered is queued again. Unknown (cancelled) requests are ignored. */
  ended(id: number, ending: Ending, nowMs: number): void {
    const request = this.#requests.get(id);
    if (request === undefined) return;
    const { health } = request.lane;
    const isShort = ending.kind === 'whole' && request.leftCount > 0;
    const end = isShort ? { kind: 'short' as const, message: 'answered only a part' } : ending;
    if (end.kind === 'lied' || end.kind === 'refused') this.#distrust(request.lane, end.kind, end.message, nowMs);
    else if (end.kind === 'busy') health.busy(end, nowMs);
    else if (end.kind !== 'whole') health.failed(end.kind, end.message, nowMs);
    this.#chooser.observe(nowMs);
    this.#close(request, nowMs);
    if (health.dropped !== undefined) this.#abandon(request.lane, nowMs);
  }

  #request(id: number): Outstanding {
    const request = this.#requests.get(id);
    invariant(request !== undefined, `request ${id} is under way`);
    return request;
  }

  #failStalled(nowMs: number): void {
    for (const request of [...this.#requests.values()]) {
      if (request.waitingSinceMs === undefined || nowMs < request.waitingSinceMs + request.stallMs()) continue;
      this.#actions.push({ kind: 'cancel', id: request.id });
      this.ended(request.id, { kind: 'stalled', message: 'sent nothing for too long' }, nowMs);
    }
  }

  /** One request for each peer with room, those that will take longest first, until nobody has room or work. */
  #fill(nowMs: number): void {
    const order = this.lanes.filter((lane) => lane.health.isUsable(nowMs));
    order.sort((a, b) => this.#chooser.secondsToEnd(b) - this.#chooser.secondsToEnd(a) || a.number - b.number);
    for (let given = true; given; ) {
      given = false;
      for (const lane of order) {
        if (this.#requests.size >= (this.#options.requestsMax ?? defaults.requestsMax)) return;
        if (!this.#hasRoom(lane, nowMs)) continue;
        const blocks = this.#chooser.choose(lane);
        if (blocks.length === 0) continue;
        this.#ask(lane, blocks, nowMs);
        given = true;
      }
    }
  }

  #hasRoom(lane: Lane, nowMs: number): boolean {
    if (lane.isSource && nowMs < Math.min(this.#sourcePausedUntilMs, this.#sourceFreeAtMs)) return false;
    const pipeline = this.#options.pipeline ?? defaults.pipeline;
    const requestsMax = lane.health.isOnProbation
      ? 1
      : lane.isSource
        ? Math.min(sourcePipelineMax, pipeline)
        : pipeline;
    return lane.requests.size < requestsMax;
  }

  #ask(lane: Lane, blocks: number[], nowMs: number): void {
    const request = new Outstanding(this.#nextId++, lane, blocks, this.states.needed.lengths);
    if (lane.isSource) request.reasons = blocks.map((block) => this.#chooser.whyOfSource(block));
    for (const block of blocks) this.states.ask(block);
    this.#requests.set(request.id, request);
    lane.requests.add(request);
    if (lane.isSource && this.#options.sourceBytesPerSecondMax !== undefined) {
      const ms = (request.leftBytes / this.#options.sourceBytesPerSecondMax) * 1000;
      this.#sourcePausedUntilMs = Math.max(nowMs, this.#sourcePausedUntilMs) + ms;
    }
    this.#actions.push({ kind: 'ask', id: request.id, peer: lane.name, blocks, packed: lane.isWorthPacking(nowMs) });
  }

  #denied(lane: Lane, block: number): void {
    lane.lackedCount += 1;
    if (lane.isSource) this.states.markSourceLacks(block);
    else this.states.peerLacks(block, lane.number);
  }

  #distrust(lane: Lane, kind: DropReason['kind'], message: string, nowMs: number): void {
    if (lane.isSource && ++this.#sourceLies < sourceLiesMax) lane.health.failed('broken', message, nowMs);
    else lane.health.drop({ kind, message });
  }

  /** Queues a waiting block where it is likely to come soonest. */
  #queue(block: number): void {
    const lane = this.#chooser.laneFor(block);
    if (lane === undefined) this.states.lose(block);
    else lane.queue.add(block);
  }

  /** A dropped peer's requests end, and blocks queued for it one by one move; its groups are there to be stolen. */
  #abandon(lane: Lane, nowMs: number): void {
    for (const request of [...lane.requests]) {
      this.#actions.push({ kind: 'cancel', id: request.id });
      this.#close(request, nowMs);
    }
    for (const block of lane.queue.takeRetries()) this.#queue(block);
  }

  #close(request: Outstanding, nowMs: number): void {
    this.working(request.id, nowMs);
    this.#requests.delete(request.id);
    request.lane.requests.delete(request);
    for (const block of request.left()) {
      if (this.states.release(block)) this.#queue(block);
    }
  }

  /** Cancels requests whose unanswered blocks have all come from elsewhere. */
  #cancelUseless(nowMs: number): void {
    for (const request of [...this.#requests.values()]) {
      if (request.leftCount === 0 || request.left().some((block) => !this.states.isDone(block))) continue;
      this.#actions.push({ kind: 'cancel', id: request.id });
      this.#close(request, nowMs);
    }
  }

  #nextWake(nowMs: number): number | undefined {
    const times: number[] = [];
    if (this.#requests.size > 0) times.push(nowMs + observeMs);
    for (const { health } of this.lanes) {
      if (health.dropped === undefined && health.isResting(nowMs)) times.push(health.restUntilMs);
    }
    if (this.source.health.dropped === undefined) {
      const atMs = [Math.min(this.#sourcePausedUntilMs, this.#sourceFreeAtMs), this.#sourceFreeAtMs];
      times.push(...atMs.filter((ms) => ms > nowMs && ms !== Number.POSITIVE_INFINITY));
    }
    for (const request of this.#requests.values()) {
      if (request.waitingSinceMs !== undefined) times.push(request.waitingSinceMs + request.stallMs());
    }
    return times.length === 0 ? undefined : Math.max(nowMs, Math.min(...times));
  }
}
