/** Waits until the index is level with the data directory, and takes what is wanted of that moment. */
import { CovaultError } from '../core/errors.ts';
import type { Epoch, EpochSource } from '../fs/epoch.ts';
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
  /** Absent where nothing makes cuts: then what is read may be of several moments. */
  epochs: EpochSource | undefined;
  /** One cut at a time is on its way through the queue. */
  turns: Turns;
  ensureScanned(signal: AbortSignal | undefined): Promise<void>;
}

/** Lets callers through one after the other. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  take<T>(act: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(act);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}

export interface LevelOptions<T> {
  signal?: AbortSignal;
  /**
   * Called when the tables hold the state of one moment; must not wait. It may keep the epoch, if there is one, which is
   * closed otherwise.
   */
  capture(moment: { timeNs: bigint; epoch: Epoch | undefined; keep(): void }): T;
}

/**
 * First has everything hashed that is dirty now, while mutations go on being applied; then makes a cut, or asks for the
 * mutations made so far, and stops behind them until the rest is hashed and the trees are made, which is little.
 *
 * @throws CovaultError `E_INTERRUPTED`, `E_BUSY` if directories keep moving about, `E_NO_SPACE` if the cut could not be
 *   kept; what `settle` and `capture` throw.
 */
export async function leveled<T>(tools: LevelTools, options: LevelOptions<T>): Promise<T> {
  const { epochs, loop, settle } = tools;
  const { signal } = options;
  loop.checkRunning();
  await tools.ensureScanned(signal);
  return await loop.urgently(async () => {
    await hashBacklog(tools, signal);
    if (!epochs) return await inRounds(tools, options);
    // What the kernel has not handed over yet; nobody's changes wait for that.
    await settle?.();
    checkSignal(signal);
    return await tools.turns.take(() => atEpoch(tools, epochs, options));
  });
}

/** The directory is looked at as it was at the cut, until the tables hold just that. */
async function atEpoch<T>(tools: LevelTools, source: EpochSource, options: LevelOptions<T>): Promise<T> {
  const { hashing, loop, queue, state } = tools;
  const { signal, capture } = options;
  checkSignal(signal);
  const number = nextNumber++;
  let barrier = beginBarrier(state);
  let isKept = false;
  const reached = reachMarker(tools, {
    signal,
    push: (marker) => queue.expectMarker(number, marker),
    // Ends the moment in the very turn that has reached it.
    capture(missing) {
      const epoch = state.epoch as Epoch;
      state.epoch = undefined;
      checkKept(epoch);
      if (missing !== 'nothing') throw missingAtCut(missing);
      const keep = () => {
        isKept = true;
      };
      return capture({ timeNs: epoch.timeNs, epoch, keep });
    },
  });
  // Whoever waits for it comes later.
  reached.catch(() => undefined);
  // Within the loop, where no look is under way: each is wholly before the cut, or sees it.
  const begin = async (): Promise<{ epoch: Epoch } | { error: unknown }> => {
    await hashing.beginMoment();
    barrier = beginBarrier(state);
    try {
      state.epoch = await source.openEpoch(number);
      return { epoch: state.epoch };
    } catch (error) {
      return { error };
    }
  };
  const begun = await loop.run(begin).catch((error: unknown) => ({ error }));
  if ('error' in begun) {
    queue.takeExpected(number)?.failed(begun.error);
    throw begun.error;
  }
  try {
    const value = await reached;
    await loop.run(() => endBarrier(state, barrier));
    return value;
  } finally {
    if (!isKept) await letGo(tools, begun.epoch);
  }
}

/** Numbers of cuts, of the whole process. */
let nextNumber = 1n;

/** Between two turns of the loop, or after its last: what it asks for in one turn is of one moment. */
async function letGo({ loop, state, hashing }: LevelTools, epoch: Epoch): Promise<void> {
  const end = async () => {
    await hashing.beginMoment();
    state.epoch = undefined;
  };
  // A loop that has ended asks for nothing any more.
  if (state.epoch === epoch) await loop.run(end).catch(() => undefined);
  await epoch.close();
}

/** @throws CovaultError `E_NO_SPACE` if what changes could not be kept for the cut any more. */
export function checkKept(epoch: Epoch): void {
  const failure = epoch.failure();
  if (failure === '') return;
  throw new CovaultError('E_NO_SPACE', `the cut could not be kept: ${failure}`, {
    hint: 'mount with a larger --cut-space, make room, or take the snapshot when less is changing',
  });
}

function missingAtCut(missing: 'contents' | 'names'): CovaultError {
  return new CovaultError('E_IO', `the cut has ${missing} that cannot be found`, {
    hint: 'something changes the data directory beside the mount; see covault check',
  });
}

/** Without cuts: again until nothing moved on while it was read, as often as there is hope. */
async function inRounds<T>(tools: LevelTools, { signal, capture }: LevelOptions<T>): Promise<T> {
  const { loop, queue, settle, state } = tools;
  for (let round = 1; ; round++) {
    const barrier = beginBarrier(state);
    await settle?.();
    checkSignal(signal);
    loop.checkRunning();
    const timeNs = state.nowNs();
    const isLast = round === roundsMax;
    const reached = await reachMarker(tools, {
      signal,
      push: (marker) => queue.pushMarker(marker),
      capture(missing) {
        const isEnough = missing === 'nothing' || (isLast && missing === 'contents');
        if (isEnough) return { value: capture({ timeNs, epoch: undefined, keep: () => undefined }) };
        if (!isLast) return undefined;
        throw new CovaultError('E_BUSY', 'directories keep moving about', { hint: 'try again' });
      },
    });
    if (!reached) continue;
    // Without an engine nobody knows of what was done past the index, so nothing is proved.
    if (settle) await loop.run(() => endBarrier(state, barrier));
    return reached.value;
  }
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

/** Calls `capture` in the turn in which all before the marker is in the tables. */
function reachMarker<T>(
  { queue, loop }: LevelTools,
  options: {
    signal: AbortSignal | undefined;
    push(marker: Marker): void;
    capture(missing: 'nothing' | 'contents' | 'names'): T;
  },
): Promise<T> {
  const { signal, push, capture } = options;
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
      searches: 0,
      reached(missing) {
        finish(() => {
          try {
            resolve(capture(missing));
          } catch (error) {
            reject(error);
          }
        });
      },
      failed: (error) => finish(() => reject(error)),
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    push(marker);
    loop.wake();
  });
}

function checkSignal(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw interrupted();
}

function interrupted(): CovaultError {
  return new CovaultError('E_INTERRUPTED', 'interrupted while the index was getting level');
}
