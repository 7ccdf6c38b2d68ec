/**
 * The index's loop: the only writer of its tables. Each turn takes a bounded piece of every kind of work there is, so
 * that none starves and other work of the thread gets its turn between pieces.
 *
 * A marker in the queue stops the application of mutations when everything before it is applied, until all that is
 * dirty by then is hashed and the trees are made: what the tables then hold is of that one moment, names and all.
 */
import { CovaultError } from '../core/errors.ts';
import type { Mutation } from '../core/mutation.ts';
import { forgetOrphans } from './forget.ts';
import type { Hashing } from './hashing.ts';
import { lookAt } from './looking.ts';
import type { Marker, MutationQueue } from './mutation-queue.ts';
import { isDirectory } from './names.ts';
import { doubt, listLater, replay } from './replay.ts';
import type { Scanner } from './scanner.ts';
import type { IndexState } from './state.ts';
import { Touched } from './touched.ts';
import { updateTrees } from './trees.ts';
import { findUnreachable } from './unreachable.ts';
import type { WorkerPool } from './worker-pool.ts';

/** Mutations applied in one transaction. */
const mutationsPerTurn = 512;

/** Inodes without names kept until there is nothing else to do. */
const orphansMax = 1024;

/** Looks at a name that fail, before the directory it should be in is listed. */
const looksMax = 5;

/** At a cut nothing moves about: what is not found after so many looks and listings is missing. */
const searchesMax = 32;

/** With this search everything is listed, and with that one what nothing leads to is forgotten. */
const listingSearch = 12;
const sweepingSearch = 18;

/** Milliseconds between two turns when there is nothing to do but to wait for files to come to rest. */
const pauseMs = 100;
const urgentPauseMs = 20;

/** Milliseconds without work after which trees are brought up to date though nobody asks. */
const treesPauseMs = 1000;

export interface LoopOptions {
  state: IndexState;
  queue: MutationQueue;
  scanner: Scanner;
  hashing: Hashing;
  lookers: WorkerPool;
  /** Called after every turn that did something. */
  onTurn(): void;
}

/** Something that is to be written; `fail` ends it instead. */
interface Task {
  run(): Promise<void>;
  fail(error: unknown): void;
}

export class IndexLoop {
  readonly #options: LoopOptions;
  readonly #tasks: Task[] = [];
  #deferred = new Touched();
  #urgent = 0;
  #isEnding = false;
  #failure: unknown;
  #wake: (() => void) | undefined;
  #isAwake = false;
  #idleSinceMs: number;
  readonly #done: Promise<void>;

  constructor(options: LoopOptions) {
    this.#options = options;
    this.#idleSinceMs = options.state.clock.monotonicMs();
    this.#done = this.#run();
  }

  /** Why the loop ended before it was told to, or undefined. */
  get failure(): unknown {
    return this.#failure;
  }

  /** @throws CovaultError `E_INTERRUPTED` if it has ended or is about to; its failure, if it has failed. */
  checkRunning(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#isEnding) throw closing();
  }

  /** Names that wait to be looked at again. */
  get deferredCount(): number {
    return this.#deferred.count;
  }

  /** There is something to do. */
  wake(): void {
    this.#isAwake = true;
    this.#wake?.();
  }

  /** While `act` runs, files are hashed whether they are at rest or not. */
  async urgently<T>(act: () => Promise<T>): Promise<T> {
    this.#urgent++;
    this.wake();
    try {
      return await act();
    } finally {
      this.#urgent--;
    }
  }

  /** Runs `task` in the loop, where it may write. If it throws, so does this, and the loop ends. */
  run<T>(task: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.checkRunning();
      this.#tasks.push({ run: async () => resolve(await task()), fail: reject });
      this.wake();
    });
  }

  /** Applies the mutations that wait and ends; files stay dirty. Idempotent. */
  async end(): Promise<void> {
    this.#isEnding = true;
    this.wake();
    await this.#done;
  }

  async #run(): Promise<void> {
    try {
      while (!this.#isEnding) {
        if (await this.#turn()) {
          this.#idleSinceMs = this.#options.state.clock.monotonicMs();
          this.#options.onTurn();
          // A turn of the event loop: transactions resolve in microtasks when nothing else is going on.
          await new Promise((resolve) => setImmediate(resolve));
        } else {
          await this.#sleep();
        }
      }
      await this.#finish();
    } catch (error) {
      this.#failure = error;
      for (const marker of this.#options.queue.takeMarkers()) marker.failed(error);
      for (const task of this.#tasks.splice(0)) task.fail(error);
      this.#options.onTurn();
    }
  }

  /** @returns whether there may be more to do at once. */
  async #turn(): Promise<boolean> {
    const { hashing, queue, scanner, state } = this.#options;
    let hasWorked = false;
    scanner.endDoubt();
    if (await this.#runTasks()) hasWorked = true;
    if (hashing.hasResults) {
      await hashing.commit();
      hasWorked = true;
    }
    const batch = queue.take(mutationsPerTurn);
    if (batch.length > 0) {
      await this.#apply(batch);
      hasWorked = true;
    }
    if (scanner.hasWork) {
      await scanner.step();
      hasWorked = true;
    }
    if (state.orphans.size >= orphansMax && queue.length === 0 && this.#deferred.count + scanner.waiting === 0) {
      await forgetOrphans(state);
    }
    const marker = queue.firstMarker;
    if (marker && !scanner.hasWork) return (await this.#approach(marker)) || hasWorked;
    // On the way to a cut the tables are between two moments; contents are read when they are at one.
    if (!state.epoch && (await hashing.dispatch({ isUrgent: this.#urgent > 0 }))) hasWorked = true;
    if (hasWorked || queue.length > 0 || scanner.hasWork) return true;
    return this.#tidy();
  }

  async #runTasks(): Promise<boolean> {
    let hasWorked = false;
    for (let task = this.#tasks.shift(); task; task = this.#tasks.shift()) {
      try {
        await task.run();
      } catch (error) {
        task.fail(error);
        throw error;
      }
      hasWorked = true;
    }
    return hasWorked;
  }

  /** Mutations into the tables, then a look at what they touched. */
  async #apply(batch: readonly Mutation[]): Promise<void> {
    const { lookers, scanner, state } = this.#options;
    const touched = this.#deferred;
    this.#deferred = new Touched();
    await state.write(() => {
      for (const mutation of batch) replay(state, mutation, touched);
    });
    this.#deferred = await lookAt(state, lookers, touched);
    scanner.retry();
  }

  /** Everything before `marker` is applied: gets the index level, one step at a time. */
  async #approach(marker: Marker): Promise<boolean> {
    const { hashing, queue, scanner, state } = this.#options;
    if (state.epoch && state.epoch.failure() !== '') {
      queue.removeMarker(marker);
      marker.reached('contents');
      return true;
    }
    if (!marker.hasBegun) {
      marker.hasBegun = true;
      hashing.beginUrgent();
    }
    if (!marker.hasRetried || state.unlinked.size > 0) {
      marker.hasRetried = true;
      await this.#apply([]);
      return true;
    }
    const hasFound = await hashing.dispatch({ isUrgent: true });
    if (hashing.hasUrgent) return hasFound;
    if (scanner.laterCount === 0) await forgetOrphans(state);
    this.#deferred = this.#deferred.filter((directory) => isDirectory(state, directory));
    await updateTrees(state);
    if (scanner.hasWork || state.unlinked.size > 0) return true;
    const isMissing = this.#deferred.count + scanner.laterCount + hashing.goneCount > 0;
    if (isMissing && state.epoch && state.epoch.failure() === '' && marker.searches < searchesMax) {
      marker.searches++;
      await this.#search(marker.searches);
      return true;
    }
    if (scanner.takeUp()) return true;
    queue.removeMarker(marker);
    if (this.#deferred.count > 0 || scanner.laterCount > 0) marker.reached('names');
    else marker.reached(hashing.goneCount > 0 ? 'contents' : 'nothing');
    return true;
  }

  /**
   * What is not where the index has it is looked for again, then listed; at last everything is listed. At a cut nothing
   * moves, so that this ends with what was there.
   */
  async #search(searches: number): Promise<void> {
    const { hashing, state } = this.#options;
    if (searches === listingSearch) doubt(state, state.root, true);
    if (searches === sweepingSearch) {
      await findUnreachable(state, () => new Promise((resolve) => setImmediate(resolve)));
      await forgetOrphans(state);
    }
    await this.#apply([]);
    this.#listInstead();
    hashing.beginUrgent();
  }

  /** Work that is done when there is no other. */
  async #tidy(): Promise<boolean> {
    const { scanner, state } = this.#options;
    if (this.#deferred.count + scanner.laterCount + state.unlinked.size > 0) {
      await this.#apply([]);
      this.#listInstead();
      if (scanner.hasWork) return true;
    }
    if (state.orphans.size > 0 && scanner.laterCount === 0) {
      await forgetOrphans(state);
      return true;
    }
    const idleMs = state.clock.monotonicMs() - this.#idleSinceMs;
    if (state.stale.size === 0 || state.dirty.count > 0 || idleMs < treesPauseMs) return false;
    return (await updateTrees(state)) > 0;
  }

  /** Names that cannot be found where they should be, with no mutation that says why: their directories are listed. */
  #listInstead(): void {
    this.#deferred = this.#deferred.filter((directory, names) => {
      if (!names.some(({ tries }) => tries >= looksMax)) return true;
      listLater(this.#options.state, directory, false);
      return false;
    });
  }

  async #finish(): Promise<void> {
    const { hashing, queue, state } = this.#options;
    state.epoch = undefined;
    if (hashing.hasResults) await hashing.commit();
    for (;;) {
      for (const marker of queue.takeMarkers()) marker.failed(closing());
      const batch = queue.take(mutationsPerTurn);
      if (batch.length === 0) break;
      await this.#apply(batch);
    }
    await this.#runTasks();
  }

  async #sleep(): Promise<void> {
    const { hashing, queue, state } = this.#options;
    if (this.#isAwake || hashing.hasResults) {
      this.#isAwake = false;
      return;
    }
    const isPressed = queue.hasMarker || this.#urgent > 0;
    const isPending = isPressed || state.dirty.count > 0 || this.#deferred.count > 0 || state.stale.size > 0;
    await new Promise<void>((resolve) => {
      const timer = isPending ? setTimeout(resolve, isPressed ? urgentPauseMs : pauseMs) : undefined;
      if (!isPressed) timer?.unref();
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
    this.#isAwake = false;
  }
}

function closing(): CovaultError {
  return new CovaultError('E_INTERRUPTED', 'the index is closing');
}
