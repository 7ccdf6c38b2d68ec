/** Trying again: what fails because the other side is away for a moment. */
import type { Clock } from '../core/clock.ts';
import { type CovaultError, isCovaultError } from '../core/errors.ts';
import { pause, type Timers } from '../core/timers.ts';

export interface Patience {
  clock: Clock;
  timers: Timers;
  /** For how long it may fail in a row, milliseconds. */
  patienceMs: number;
  signal?: AbortSignal;
}

const pauseMsFirst = 250;
const pauseMsMax = 5_000;
/** An attempt that failed only after so long did get somewhere: patience begins anew. */
const worthwhileMs = 10_000;
const attemptsMax = 100;
/** Longest pause that somebody busy may ask for. */
const askedPauseMsMax = 60_000;

/** The other side is away or has too much to do: it may be otherwise soon. */
export function mayPass(error: unknown): error is CovaultError {
  return (
    isCovaultError(error, 'E_UNAVAILABLE') || isCovaultError(error, 'E_BUSY') || isCovaultError(error, 'E_INTERRUPTED')
  );
}

/**
 * Runs `work`, again after longer and longer pauses while it fails with what may pass.
 *
 * @throws the last error.
 */
export async function persist<T>(work: () => Promise<T>, patience: Patience): Promise<T> {
  const { clock, timers, patienceMs, signal } = patience;
  let untilMs = clock.monotonicMs() + patienceMs;
  let pauseMs = pauseMsFirst;
  for (let attempt = 1; ; attempt++) {
    const startMs = clock.monotonicMs();
    let askedMs = 0;
    try {
      return await work();
    } catch (error) {
      const nowMs = clock.monotonicMs();
      if (nowMs - startMs >= worthwhileMs) {
        untilMs = nowMs + patienceMs;
        pauseMs = pauseMsFirst;
      }
      if (signal?.aborted || !mayPass(error) || nowMs + pauseMs > untilMs || attempt >= attemptsMax) throw error;
      askedMs = Math.min(askedPauseMsMax, error.retryAfterMs ?? 0);
      // Who asks to be left alone for longer than there is patience for is not waited for in vain.
      if (nowMs + askedMs > untilMs) throw error;
    }
    await pause(timers, Math.max(pauseMs, askedMs), signal);
    pauseMs = Math.min(pauseMsMax, pauseMs * 2);
  }
}
