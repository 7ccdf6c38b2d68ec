/** Whether a peer may be asked: a small state machine without clock or sockets. Times are monotonic milliseconds. */

/** What can go wrong with a request. */
export type Failure =
  /** No connection, or it broke, or the peer answered with an error. */
  | 'broken'
  /** Nothing came for too long. */
  | 'stalled'
  /** The answer ended before everything asked for was answered. */
  | 'short';

/** Why a peer is not asked any more in this run. */
export interface DropReason {
  kind: 'lied' | 'refused' | 'unreachable';
  message: string;
}

/** Milliseconds. */
export interface HealthTimes {
  /** Rest after a first failure. */
  restMsFirst: number;
  /** Longest rest. */
  restMsMax: number;
  /** A peer that is busy for longer than this, or says that it will be, is not waited for. */
  busyPatienceMs: number;
  /** One that is busy for longer than this is dropped; no peer rests longer, whatever it says. */
  busyMsMax: number;
}

const defaultTimes: HealthTimes = {
  restMsFirst: 1_000,
  restMsMax: 60_000,
  busyPatienceMs: 20_000,
  busyMsMax: 600_000,
};
/** Least time after which a busy peer is asked again, and the longest for one that does not say when. */
const busyPauseMsMin = 250;
const busyPauseMsMax = 30_000;
/** A stall costs more time than a refused connection, so it counts for more. */
const weights: Record<Failure, number> = { broken: 1, short: 1, stalled: 2 };
/** From this weight on nobody waits for the peer any more, though it is still tried now and then. */
const doubtWeight = 3;
/** At this weight the peer is dropped. */
const dropWeight = 8;

export class PeerHealth {
  readonly #times: HealthTimes;
  #failureWeight = 0;
  #restUntilMs = Number.NEGATIVE_INFINITY;
  #busyTimes = 0;
  #busySinceMs: number | undefined;
  #dropped: DropReason | undefined;
  #lastFailure = '';

  constructor(times: Partial<HealthTimes> = {}) {
    this.#times = { ...defaultTimes, ...times };
  }

  /** It sent a verified block, or said properly that it lacks one. */
  succeeded(): void {
    this.#failureWeight = 0;
    this.#busyTimes = 0;
    this.#busySinceMs = undefined;
  }

  /**
   * A request failed: the peer rests, twice as long each time; requests that fail while it rests count as the same
   * failure. With too many in a row it is dropped.
   */
  failed(failure: Failure, message: string, nowMs: number): void {
    this.#lastFailure = message;
    if (this.isResting(nowMs)) return;
    this.#failureWeight += weights[failure];
    this.#restUntilMs =
      nowMs + Math.min(this.#times.restMsMax, this.#times.restMsFirst * 2 ** (this.#failureWeight - 1));
    if (this.#failureWeight >= dropWeight) this.drop({ kind: 'unreachable', message });
  }

  /**
   * It said that it has too much to do, or does not serve just now: it rests, for `retryAfterMs` if it said when it
   * wants to be asked again, else longer each time.
   */
  busy({ retryAfterMs, message }: { retryAfterMs?: number; message: string }, nowMs: number): void {
    this.#lastFailure = message;
    this.#busySinceMs ??= nowMs;
    if (this.isResting(nowMs)) return;
    const ms = retryAfterMs ?? Math.min(busyPauseMsMax, busyPauseMsMin * 2 ** Math.min(10, this.#busyTimes));
    this.#busyTimes += 1;
    this.#restUntilMs = nowMs + Math.max(busyPauseMsMin, Math.min(this.#times.busyMsMax, ms));
    if (nowMs - this.#busySinceMs >= this.#times.busyMsMax) {
      this.drop({ kind: 'unreachable', message: `was busy for too long: ${message}` });
    }
  }

  /** It is not asked again in this run. */
  drop(reason: DropReason): void {
    this.#dropped ??= reason;
  }

  get dropped(): DropReason | undefined {
    return this.#dropped;
  }

  get lastFailure(): string {
    return this.#lastFailure;
  }

  get restUntilMs(): number {
    return this.#restUntilMs;
  }

  isResting(nowMs: number): boolean {
    return nowMs < this.#restUntilMs;
  }

  /** May be asked now. */
  isUsable(nowMs: number): boolean {
    return this.#dropped === undefined && !this.isResting(nowMs);
  }

  /** It must first show that it is back: one request at a time. */
  get isOnProbation(): boolean {
    return this.#failureWeight > 0 || this.#busyTimes > 0;
  }

  /** Blocks that only it holds are better waited for than asked of the source. */
  isCountedOn(nowMs: number): boolean {
    const busyUntilMs = Math.max(nowMs, this.#restUntilMs);
    const busyForLong =
      this.#busySinceMs !== undefined && busyUntilMs - this.#busySinceMs >= this.#times.busyPatienceMs;
    return this.#dropped === undefined && this.#failureWeight < doubtWeight && !busyForLong;
  }
}
