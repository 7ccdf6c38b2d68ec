/** How the memory of a daemon's JavaScript grows. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * By itself, V8 lets a heap of 10 MB grow to hundreds before it clears it, since a machine with memory to spare gains
 * time by that. A daemon that runs beside the work of others has to stay small instead: what it holds is little, and
 * the rest is garbage. The settings take effect at any time, also for threads that are started later.
 *
 * - `heap-growing-percent`: a full collection when the heap is so much larger than what the last one left.
 * - `initial-old-space-size`: where there was none yet, the first comes at so many MB: in threads started later. Here it
 *   comes at once.
 * - `semi-space-growth-factor`: the space for new objects keeps the size that it has; each thread has one, and they would
 *   grow to 48 MB.
 *
 * `--optimize-for-size` leaves a few MB less and costs half as much processor time again.
 */
export function keepHeapSmall(): void {
  for (const flag of [
    'heap-growing-percent=30',
    'initial-old-space-size=16',
    'semi-space-growth-factor=1',
    'expose-gc',
  ])
    setFlagsFromString(`--${flag}`);
  const collect: () => void = runInNewContext('gc');
  collect();
  setFlagsFromString('--no-expose-gc');
}
