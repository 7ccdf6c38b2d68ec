/**
 * The gate before everything that a client sends to others: lets them in or tells them when to come again, gives out
 * slots, keeps to the rate, counts. What it decides by is in `serving-policy.ts`.
 */
import { type Clock, systemClock } from '../core/clock.ts';
import { CovaultError } from '../core/errors.ts';
import { systemTimers, type Timers } from '../core/timers.ts';
import { Pace, pieceBytes } from './pacing.ts';
import {
  addToMonth,
  calendarAt,
  decideServing,
  defaultServingSettings,
  type MonthTotal,
  type PauseReason,
  ratesFor,
  type ServingConditions,
  type ServingSettings,
} from './serving-policy.ts';
import { UploadSlots } from './upload-slots.ts';

/** What this machine runs on, as far as it is known. */
export interface Surroundings {
  isOnBattery: boolean;
  isMetered: boolean;
}

export interface ServingGateOptions {
  settings?: ServingSettings;
  /** What was sent earlier in this month. */
  sent?: MonthTotal;
  surroundings?: () => Surroundings;
  clock?: Clock;
  timers?: Timers;
}

/** Who asks. */
export interface Guest {
  name: string;
  /** For how long a cut of this client has been open for it; undefined: it makes a snapshot of somebody else. */
  cutOpenMs: number | undefined;
}

export interface GateStatus {
  slots: { taken: number; total: number; perPuller: number };
  price: number;
  /** Bytes per second that may be sent now; undefined: no bound. */
  bytesPerSecond: number | undefined;
  paused: { reason: PauseReason; message: string; retryAfterMs: number } | undefined;
  month: { month: string; bytes: number; bytesMax: number | undefined };
}

export class ServingGate {
  readonly #slots: UploadSlots;
  readonly #pace: Pace;
  readonly #sourcePace: Pace;
  readonly #clock: Clock;
  readonly #surroundings: () => Surroundings;
  #settings: ServingSettings;
  #sent: MonthTotal;

  constructor(options: ServingGateOptions = {}) {
    this.#clock = options.clock ?? systemClock;
    const time = { clock: this.#clock, timers: options.timers ?? systemTimers };
    this.#pace = new Pace(time);
    this.#sourcePace = new Pace(time);
    this.#settings = options.settings ?? defaultServingSettings;
    this.#slots = new UploadSlots(this.#settings.slots);
    this.#surroundings = options.surroundings ?? (() => ({ isOnBattery: false, isMetered: false }));
    this.#sent = options.sent ?? { month: '', bytes: 0 };
  }

  /** Other settings from now on; what is being sent goes on at the new rate. */
  configure(settings: ServingSettings): void {
    this.#settings = settings;
    this.#slots.limits = settings.slots;
  }

  /** What was sent this month, to be kept over a restart. */
  get sent(): MonthTotal {
    return addToMonth(this.#sent, calendarAt(this.#clock.nowMs()).month, 0);
  }

  /** Slots taken. */
  get uploads(): number {
    return this.#slots.taken;
  }

  /** @throws CovaultError `E_BUSY` while this client does not serve, with the reason and when to ask again. */
  check(guest: Guest): void {
    if (guest.cutOpenMs !== undefined && !this.#settings.source.pauses) return;
    const decision = decideServing(this.#settings, this.#conditions());
    if (decision.kind === 'serve') return;
    throw new CovaultError('E_BUSY', `this member does not serve now: ${decision.message}`, {
      hint: 'ask others, or come again later',
      retryAfterMs: decision.retryAfterMs,
    });
  }

  /** Takes a slot; the function returned gives it back. @throws CovaultError `E_BUSY`. */
  enter(guest: Guest): () => void {
    this.check(guest);
    return this.#slots.take(guest.name);
  }

  /** Hands on the bytes of an answer in pieces, at the rate that holds for the guest. `guest` is asked at each piece. */
  async *paced(chunks: AsyncIterable<Uint8Array>, guest: () => Guest, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      for (let at = 0; at < chunk.byteLength; ) {
        const rate = ratesFor(this.#settings, this.#conditions(), guest().cutOpenMs);
        const piece = chunk.subarray(
          at,
          at + Math.min(chunk.byteLength - at, pieceBytes(Math.min(rate.all, rate.source))),
        );
        at += piece.byteLength;
        await this.#sourcePace.pass(piece.byteLength, rate.source, signal);
        await this.#pace.pass(piece.byteLength, rate.all, signal);
        this.#sent = addToMonth(this.#sent, calendarAt(this.#clock.nowMs()).month, piece.byteLength);
        yield piece;
      }
    }
  }

  status(): GateStatus {
    const settings = this.#settings;
    const decision = decideServing(settings, this.#conditions());
    const { month, bytes } = this.sent;
    return {
      slots: { taken: this.#slots.taken, ...settings.slots },
      price: settings.price,
      bytesPerSecond: decision.kind === 'serve' ? bounded(decision.bytesPerSecond) : 0,
      paused:
        decision.kind === 'serve'
          ? undefined
          : { reason: decision.reason, message: decision.message, retryAfterMs: decision.retryAfterMs },
      month: { month, bytes, bytesMax: bounded(settings.monthlyBytesMax) },
    };
  }

  #conditions(): ServingConditions {
    const { month, minute, monthLeftMs } = calendarAt(this.#clock.nowMs());
    return { minute, monthLeftMs, monthBytes: addToMonth(this.#sent, month, 0).bytes, ...this.#surroundings() };
  }
}

function bounded(value: number): number | undefined {
  return value === Number.POSITIVE_INFINITY ? undefined : value;
}
