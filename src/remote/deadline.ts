/** Limits of time that leave nothing behind once they are not needed any more. */

import { systemTimers, type Timers } from '../core/timers.ts';

/** What a signal of `withDeadline` is aborted with when the time is over. */
export class DeadlineError extends Error {
  override readonly name = 'TimeoutError';
}

/**
 * Runs `act` with a signal that is aborted after `ms`, or when `signal` is. Unlike signals derived with
 * `AbortSignal.any` and `AbortSignal.timeout`, nothing stays with `signal` or in a timer when `act` has ended.
 */
export async function withDeadline<T>(
  ms: number,
  signal: AbortSignal | undefined,
  act: (signal: AbortSignal) => Promise<T>,
  timers: Timers = systemTimers,
): Promise<T> {
  signal?.throwIfAborted();
  const controller = new AbortController();
  const abort = () => controller.abort(signal?.reason);
  const cancel = timers.after(ms, () => controller.abort(new DeadlineError(`not done within ${ms} ms`)));
  signal?.addEventListener('abort', abort, { once: true });
  try {
    return await act(controller.signal);
  } finally {
    cancel();
    signal?.removeEventListener('abort', abort);
  }
}
