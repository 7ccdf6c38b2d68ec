/** Waits until the index is level with the data directory, and takes what is wanted of that moment. */
import { CovaultError } from '../core/errors.ts';
import type { Hashing } from './hashing.ts';
import type { IndexLoop } from './index-loop.ts';
import type { Marker, MutationQueue } from './mutation-queue.ts';
import { beginBarrier, endBarrier } from './stamps.ts';
import type { IndexState } from './state.ts';

/** Attempts to find all names where they should be while directories move about. */
const roundsMax = 6;

/** Dirty files waited for at once before mutations are held back. */
const watchedMax = 100_000;

/** Milliseconds between two looks at how far hashing is. */
const pollMs = 5;

export interface LevelTools {
  state: IndexState;
  queue: MutationQueue;
  hashing: Hashing;
  loop: IndexLoop;
  settle: (() => Promise<void>) | undefined;
  ensureScanned(signal: AbortSignal | undefined): Promise<void>;
}

/**
 * First has everything hashed that is dirty now, while mutations go on being applied; then asks for the mutations made so
 * far, and stops behind them until the rest is hashed and the trees are made, which is little.
 *
 * @param options.capture is called at that moment, with its time in nanoseconds since 1970; it must not wait.
 * @throws CovaultError `E_INTERRUPTED`, `E_BUSY` if directories keep moving about; what `settle` and `capture` throw.
 */
export async function leveled<T>(
  tools: LevelTools,
  options: { signal?: AbortSignal; capture(timeNs: bigint): T },
): Promise<T> {
  const { loop, settle, state } = tools;
  const { signal } = options;
  loop.checkRunning();
  await tools.ensureScanned(signal);
  return await loop.urgently(async () => {
    await hashBacklog(tools, signal);
    for (let round = 1; ; round++) {
      const barrier = beginBarrier(state);
      await settle?.();
      checkSignal(signal);
      loop.checkRunning();
      const timeNs = state.nowNs();
      const reached = await atMarker(tools, {
        signal,
        isLast: round === roundsMax,
        capture: () => options.capture(timeNs),
      });
      if (!reached) continue;
      // Without an engine nobody knows of what was done past the index, so nothing is proved.
      if (settle) await loop.run(() => endBarrier(state, barrier));
      return reached.value;
    }
  });
}

async function hashBacklog(tools: LevelTools, signal: AbortSignal | undefined): Promise<void> {
  const { hashing, loop, state } = tools;
  for (let after = -1n; ; ) {
    loop.checkRunning();
    const files = state.dirty.list(after, watchedMax);
    if (files.length === 0) return;
    hashing.beginUrgent();
    const watch = hashing.watch(files);
    try {
      while (!watch.isOver()) {
        checkSignal(signal);
        loop.checkRunning();
        await new Promise((resolve) => setTimeout(resolve, pollMs));
      }
    } finally {
      watch.end();
    }
    if (files.length < watchedMax) return;
    after = files.at(-1) as bigint;
  }
}

/** @returns nothing if another round is needed. */
function atMarker<T>(
  { queue, loop }: LevelTools,
  { signal, isLast, capture }: { signal: AbortSignal | undefined; isLast: boolean; capture(): T },
): Promise<{ value: T } | undefined> {
  return new Promise((resolve, reject) => {
    loop.checkRunning();
    const finish = (act: () => void) => {
      signal?.removeEventListener('abort', onAbort);
      act();
    };
    const onAbort = () => {
      queue.removeMarker(marker);
      finish(() => reject(interrupted()));
      loop.wake();
    };
    const marker: Marker = {
      hasBegun: false,
      hasRetried: false,
      reached(missing) {
        finish(() => {
          try {
            if (missing === 'nothing' || (isLast && missing === 'contents')) resolve({ value: capture() });
            else if (!isLast) resolve(undefined);
            else reject(new CovaultError('E_BUSY', 'directories keep moving about', { hint: 'try again' }));
          } catch (error) {
            reject(error);
          }
        });
      },
      failed: (error) => finish(() => reject(error)),
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    queue.pushMarker(marker);
    loop.wake();
  });
}

function checkSignal(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw interrupted();
}

function interrupted(): CovaultError {
  return new CovaultError('E_INTERRUPTED', 'interrupted while the index was getting level');
}
