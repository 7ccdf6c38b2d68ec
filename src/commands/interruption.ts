/** SIGINT, SIGTERM and SIGHUP: the first asks for an orderly end, a second one ends at once. */
import type { Clock } from '../core/clock.ts';
import { CovaultError } from '../core/errors.ts';

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** A terminal and a launching process may both deliver the same signal; within this time they count as one. */
const sameSignalMs = 300;

export interface Interruption {
  signal: AbortSignal;
  /** Stops listening. */
  dispose(): void;
}

/** @param hardStop ends the process; called for a second signal. */
export function watchSignals(clock: Clock, hardStop: () => void): Interruption {
  const controller = new AbortController();
  let firstMs: number | undefined;
  const onSignal = (name: NodeJS.Signals) => {
    const nowMs = clock.monotonicMs();
    if (firstMs === undefined) {
      firstMs = nowMs;
      controller.abort(new CovaultError('E_INTERRUPTED', `stopped by ${name}`));
    } else if (nowMs - firstMs > sameSignalMs) {
      hardStop();
    }
  };
  for (const name of signals) process.on(name, onSignal);
  return {
    signal: controller.signal,
    dispose() {
      for (const name of signals) process.off(name, onSignal);
    },
  };
}

/** Resolves when the signal is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
