/** Waiting between attempts. */
import { setTimeout as sleep } from 'node:timers/promises';
import { randomBelow } from '../core/clock.ts';

export interface Backoff {
  /** The first wait, milliseconds; each further one is twice as long. */
  firstMs: number;
  /** No wait is longer. */
  maxMs: number;
}

/** How long to wait after failure number `failures` (from 1): half of it fixed, half random, so that many do not return at once. */
export function backoffMs(failures: number, backoff: Backoff, random: (below: number) => number = randomBelow): number {
  const full = Math.min(backoff.maxMs, backoff.firstMs * 2 ** Math.min(30, failures - 1));
  const half = Math.ceil(full / 2);
  return half + random(half + 1);
}

/** Resolves after `ms`, or early when `signal` is aborted; never rejects. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}
