/**
 * Keeping a stream of bytes below a rate: a token bucket in the form of the generic cell rate algorithm (ITU-T I.371),
 * which keeps one number. The rate may be another one at each step.
 */
import type { Clock } from '../core/clock.ts';
import { pause, type Timers } from '../core/timers.ts';

/** What may pass at once after a while without traffic, as time at the rate, milliseconds. */
export const burstMs = 250;

/**
 * Lets `bytes` into the stream.
 *
 * @param paidUntilMs what the call before returned; 0 at first.
 * @param bytesPerSecond above 0; infinite for no bound.
 * @returns when they may pass, at `nowMs` or later, and `paidUntilMs` for the next call.
 */
export function admit(
  paidUntilMs: number,
  { bytes, bytesPerSecond, nowMs }: { bytes: number; bytesPerSecond: number; nowMs: number },
): { atMs: number; paidUntilMs: number } {
  const beginMs = Math.max(nowMs, paidUntilMs);
  return { atMs: Math.max(nowMs, beginMs - burstMs), paidUntilMs: beginMs + (1000 * bytes) / bytesPerSecond };
}

/** Bytes handed on at once: a tenth of a second of a bounded rate, so that many streams take turns without stalling. */
export function pieceBytes(bytesPerSecond: number): number {
  if (bytesPerSecond === Number.POSITIVE_INFINITY) return bytesPerSecond;
  return Math.max(1024, Math.min(256 * 1024, Math.floor(bytesPerSecond / 10)));
}

/** One rate for any number of streams. */
export class Pace {
  readonly #time: { clock: Pick<Clock, 'monotonicMs'>; timers: Timers };
  #paidUntilMs = 0;

  constructor(time: { clock: Pick<Clock, 'monotonicMs'>; timers: Timers }) {
    this.#time = time;
  }

  /** Resolves when `bytes` may pass; rejects with the signal's reason when it is aborted. First come, first served. */
  async pass(bytes: number, bytesPerSecond: number, signal?: AbortSignal): Promise<void> {
    const nowMs = this.#time.clock.monotonicMs();
    const { atMs, paidUntilMs } = admit(this.#paidUntilMs, { bytes, bytesPerSecond, nowMs });
    this.#paidUntilMs = paidUntilMs;
    if (atMs > nowMs) await pause(this.#time.timers, atMs - nowMs, signal);
  }
}
