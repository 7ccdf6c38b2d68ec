/** Waiting between attempts. */
import { randomBelow } from '../core/clock.ts';
import { pause, systemTimers, type Timers } from '../core/timers.ts';

export interface Backoff {
  /** The first wait, milliseconds; each further one is twice as long. */
  firstMs: number;
  /** No wait is longer. */
  maxMs: number;
}

/** How retries wait; the system's timers and randomness unless told otherwise. */
export interface Waiting {
  timers?: Timers;
  /** A whole number from 0 to `below` - 1. */
  random?(below: number): number;
}

/** How long to wait after failure number `failures` (from 1): half of it fixed, half random, so that many do not return at once. */
export function backoffMs(failures: number, backoff: Backoff, random: (below: number) => number = randomBelow): number {
  const full = Math.min(backoff.maxMs, backoff.firstMs * 2 ** Math.min(30, failures - 1));
  const half = Math.ceil(full / 2);
  return half + random(half + 1);
}

/** Resolves after `ms`, or early when `signal` is aborted; never rejects. */
export async function pauseQuietly(ms: number, signal: AbortSignal, timers: Timers = systemTimers): Promise<void> {
  await pause(timers, ms, signal).catch(() => undefined);
}
