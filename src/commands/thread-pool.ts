/**
 * Keeps calls of the thread pool from waiting for nothing.
 *
 * The GNU C library before 2.41, thus also Debian 12's, can lose the wake-up that a condition variable owes to one
 * of several waiting threads (https://sourceware.org/bugzilla/show_bug.cgi?id=25847). libuv's threads wait on one: a
 * call then stays queued beside idle threads until another call comes, which may be never. Any further call wakes
 * one of them, and it takes what was queued first.
 */
import { stat } from 'node:fs';

/** Milliseconds that a call may wait for nothing. */
const everyMs = 2_000;

/** Gives the pool of this process a trifle to do now and then, for as long as the process lives for other reasons. */
export function keepThreadPoolAwake(): void {
  setInterval(() => stat('/', () => undefined), everyMs).unref();
}
