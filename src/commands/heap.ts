/** How the memory of JavaScript grows. */
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

/**
 * For commands through which many bytes pass. V8 counts buffers to the heap, so that a heap of 20 MB was collected each time
 * 17 MB of them had come, which took a quarter of all processor time; now when it has grown by 64 MB of buffers, or to
 * five times of what it holds.
 */
export function collectRarely(): void {
  setFlagsFromString('--heap-growing-percent=400');
}
