/**
 * The index: what blocks the data directory holds, where, and the trees of its directories. Fed by mutations, kept by
 * one loop (`index-loop.ts`), read by everybody.
 */
import { closeSync, fstatSync } from 'node:fs';
import type { Clock } from '../core/clock.ts';
import { createDigester, type Digest } from '../core/digest.ts';
import type { Domain } from '../core/domain.ts';
import type { Mutation } from '../core/mutation.ts';
import type { BlockSource, Cut, CutSource, PackedBlock } from '../core/ports.ts';
import type { EpochSource } from '../fs/epoch.ts';
import { openNode } from '../fs/native.ts';
import { type CheckOptions, type CheckReport, checkIndex } from './check.ts';
import { Cuts } from './cuts.ts';
import { Durability } from './durability.ts';
import { Feed } from './feed.ts';
import { Hashing } from './hashing.ts';
import { HeldBlocks } from './held-blocks.ts';
import { undoIntents } from './holdings.ts';
import { IndexLoop } from './index-loop.ts';
import { type IndexStatus, statusOf } from './index-status.ts';
import { type LevelOptions, leveled, Turns } from './leveling.ts';
import { MutationQueue } from './mutation-queue.ts';
import { type FoundIndex, openIndexTables } from './open-tables.ts';
import { RollingCheck } from './rolling-check.ts';
import { bootId, noteClosed, writeRunMarker } from './run-marker.ts';
import { Scanner } from './scanner.ts';
import { type ScanOptions, type ScanReport, Scans } from './scans.ts';
import { beginBarrier, endBarrier } from './stamps.ts';
import { IndexState } from './state.ts';
import { dataFileName } from './tables.ts';
import { WorkerPool } from './worker-pool.ts';

/** Nice value of the hashing threads: they take what others leave. */
const hashingNiceness = 10;

/** Of the threads that read blocks for others idly, and how many there are. */
const idleNiceness = 19;
const readingThreads = 2;

export interface IndexOptions {
  /** The member's state directory; the index is in its sub-directory `index`. */
  stateDirectory: string;
  /** The data directory, opened in any way; the index keeps a descriptor of its own. */
  directoryFd: number;
  domain: Domain;
  clock: Clock;
  /** Blocks are read when nobody else needs the processor or the disk. */
  readsIdly?: boolean;
  /** Hashing threads; 1 if not given, so that a small machine stays usable. */
  workers?: number;
  /** Resolves when all mutations made before the call have been given to `consume`; absent if nothing is mounted. */
  settle?: () => Promise<void>;
  /** What makes cuts; with it, `settle` flushes, and `reachCut` must be called. Absent if nothing is mounted. */
  epochs?: EpochSource;
  /** Bytes hashed anew each day to see whether a change was missed; 0 or absent: none. */
  rollingBytesPerDay?: number;
  /** Called for each file or directory that was not as the index had it, without a mutation that told. */
  onMiss?: (path: Uint8Array, what: string) => void;
  /** Called once if the index stops because it cannot go on. */
  onFailure?: (error: unknown) => void;
  /** The tables that are there are not to be used, and why; `keep`: they are set aside, for whoever wants to know. */
  discard?: { reason: string; keep: boolean };
  /** Digests kept in the feed for a repository that does not fetch them. */
  feedDigestsMax?: number;
}

/** Opens the index of a data directory, or makes one. @throws CovaultError `E_IO`, `E_NO_SPACE`, `E_REQUIREMENT`. */
export function openIndex(options: IndexOptions): Promise<LiveIndex> {
  return LiveIndex.open(options);
}

interface Parts {
  options: IndexOptions;
  state: IndexState;
  directory: string;
  directoryFd: number;
  found: FoundIndex;
  notice: string | undefined;
}

export class LiveIndex implements BlockSource, CutSource {
  readonly feed: Feed;
  /** How the index was found when it was opened. */
  readonly found: FoundIndex;
  /** A sentence for the user about that, if there is something to say. */
  readonly notice: string | undefined;
  readonly #parts: Parts;
  readonly #state: IndexState;
  readonly #queue: MutationQueue;
  readonly #hashers: WorkerPool;
  readonly #lookers: WorkerPool;
  readonly #readers: WorkerPool;
  readonly #hashing: Hashing;
  readonly #scanner: Scanner;
  readonly #scans: Scans;
  readonly #loop: IndexLoop;
  readonly #blocks: HeldBlocks;
  readonly #cuts: Cuts;
  readonly #rolling: RollingCheck;
  readonly #turns = new Turns();
  readonly #durability: Durability;
  #closing: Promise<void> | undefined;
  #hasToldFailure = false;

  /** Use `openIndex`. */
  static async open(options: IndexOptions): Promise<LiveIndex> {
    const directoryFd = openNode(options.directoryFd, '', openPath);
    try {
      const root = fstatSync(directoryFd, { bigint: true }).ino;
      const { tables, directory, found, notice } = await openIndexTables({ ...options, root });
      const digester = createDigester(options.domain.digestKey);
      const state = new IndexState({ tables, digester, cut: options.domain.cut, clock: options.clock, root });
      await undoIntents(state);
      await state.write(() => state.dirty.loadRanges({ areComplete: found === 'clean' }));
      return new LiveIndex({ options, state, directory, directoryFd, found, notice });
    } catch (error) {
      closeSync(directoryFd);
      throw error;
    }
  }

  private constructor(parts: Parts) {
    const { options, state, directoryFd } = parts;
    this.#parts = parts;
    this.#state = state;
    this.found = parts.found;
    this.notice = parts.notice;
    const stop = () => new Int32Array(new SharedArrayBuffer(4));
    const settings = { directoryFd, digestKey: options.domain.digestKey, cut: options.domain.cut };
    const size = Math.max(1, options.workers ?? 1);
    this.#hashers = new WorkerPool(
      { ...settings, stop: stop(), niceness: hashingNiceness },
      { size, name: 'covault-hash' },
    );
    this.#lookers = new WorkerPool({ ...settings, stop: stop(), niceness: 0 }, { size: 1, name: 'covault-look' });
    this.#readers = new WorkerPool(
      {
        ...settings,
        stop: stop(),
        niceness: options.readsIdly ? idleNiceness : 0,
        hasIdleIo: options.readsIdly ?? false,
      },
      { size: readingThreads, name: 'covault-read' },
    );
    this.#queue = new MutationQueue(state.root);
    this.#hashing = new Hashing({
      state,
      pool: this.#hashers,
      onResults: () => this.#loop.wake(),
      waitingExtent: (inode) => this.#queue.extentOf(inode, state.cut.minBytes),
    });
    this.#scanner = new Scanner(state, this.#lookers);
    this.#scans = new Scans({ state, scanner: this.#scanner, found: parts.found, onLevel: () => this.#noteSuccess() });
    this.#loop = new IndexLoop({
      state,
      queue: this.#queue,
      scanner: this.#scanner,
      hashing: this.#hashing,
      lookers: this.#lookers,
      onTurn: () => this.#onTurn(),
    });
    this.#blocks = new HeldBlocks(state, directoryFd, (part) => this.#readers.run({ kind: 'read', ...part }));
    this.#cuts = new Cuts(state);
    this.feed = new Feed(state, (task) => this.#loop.run(task), options.feedDigestsMax);
    this.#durability = new Durability({ state, loop: this.#loop, directoryFd });
    this.#rolling = new RollingCheck({ ...this.#checkTools(), bytesPerDay: options.rollingBytesPerDay ?? 0 });
  }

  /** Takes note of what the engine did. Never waits. */
  consume(batch: readonly Mutation[]): void {
    if (this.#closing) return;
    this.#queue.push(batch);
    this.#loop.wake();
  }

  /** The engine made the cut of this number between the mutations consumed before and those that will be. Never waits. */
  reachCut(number: bigint): void {
    if (this.#closing) return;
    this.#queue.pushCut(number);
    this.#loop.wake();
  }

  /**
   * Walks the data directory and finds what changed without a mutation that told: everything in a fresh index. The
   * files found are hashed afterwards; `level` waits for that. A scan under way is joined. May be interrupted and called again.
   *
   * @throws CovaultError `E_INTERRUPTED`.
   */
  scan(options: ScanOptions = {}): Promise<ScanReport> {
    return this.#scans.scan(this.#loop, options);
  }

  /**
   * Resolves when everything that was done before the call is in the index, hashed, with its trees made. Scans first if
   * that was never done since the index was opened.
   *
   * @throws CovaultError `E_INTERRUPTED`, `E_BUSY` if directories keep moving about.
   */
  async level(options: { signal?: AbortSignal } = {}): Promise<void> {
    await this.#level(options, () => undefined);
  }

  async openCut(options: { signal?: AbortSignal } = {}): Promise<Cut> {
    this.#cuts.checkRoom();
    return await this.#level(options, ({ timeNs, epoch, keep }) => {
      const cut = this.#cuts.capture(timeNs, epoch);
      keep();
      return cut;
    });
  }

  /** From the live files or, where these have changed, from a cut that is open. */
  async readBlock(digest: Digest): Promise<Uint8Array | undefined> {
    return (await this.#blocks.readBlock(digest)) ?? (await this.#cuts.readBlock(digest));
  }

  /** A block of an open cut alone comes as it is. */
  async readPacked(digest: Digest): Promise<PackedBlock | undefined> {
    const live = await this.#blocks.readPacked(digest);
    if (live) return live;
    const bytes = await this.#cuts.readBlock(digest);
    return bytes && { length: bytes.byteLength, bytes, isCompressed: false };
  }

  status(): IndexStatus {
    return statusOf({
      state: this.#state,
      queue: this.#queue,
      scanner: this.#scanner,
      cuts: this.#cuts,
      found: this.found,
      lastScan: this.#scans.last,
      deferred: this.#loop.deferredCount,
      lastSequence: this.feed.lastSequence(),
      failure: this.#loop.failure,
      notice: this.notice,
      rolling: this.#rolling.status(),
    });
  }

  /** Compares the index with the data directory, contents included unless `full` is false; mends what it missed. */
  async check(options: CheckOptions = {}): Promise<CheckReport> {
    return await checkIndex(this.#checkTools(), options);
  }

  /**
   * Hashes the next files, of about `bytes` together, in the order in which the rolling check goes around, and mends what
   * was missed. @returns how many misses were found.
   */
  checkSome(bytes: number): Promise<number> {
    return this.#rolling.run(bytes);
  }

  /**
   * Applies what was consumed, stops hashing (what is still dirty stays noted), and closes the index cleanly. Call after
   * the engine has given its last mutations. Idempotent.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  #onTurn(): void {
    this.#scans.onTurn(this.#loop);
    if (this.#loop.failure === undefined || this.#hasToldFailure) return;
    this.#hasToldFailure = true;
    this.#parts.options.onFailure?.(this.#loop.failure);
  }

  #level<T>(options: { signal?: AbortSignal }, capture: LevelOptions<T>['capture']): Promise<T> {
    return leveled(
      {
        state: this.#state,
        queue: this.#queue,
        hashing: this.#hashing,
        loop: this.#loop,
        settle: this.#parts.options.settle,
        epochs: this.#parts.options.epochs,
        turns: this.#turns,
        ensureScanned: (signal) => this.#scans.ensure(this.#loop, signal),
      },
      { ...options, capture },
    );
  }

  #checkTools() {
    return {
      state: this.#state,
      loop: this.#loop,
      hashers: this.#hashers,
      lookers: this.#lookers,
      level: (signal?: AbortSignal) => this.level(signal ? { signal } : {}),
      onMiss: this.#parts.options.onMiss,
    };
  }

  /** The index got level with these tables, so they are sound. */
  async #noteSuccess(): Promise<void> {
    await writeRunMarker(this.#parts.directory, { starts: 0, boot: await bootId() });
  }

  async #close(): Promise<void> {
    const state = this.#state;
    this.#rolling.close();
    await this.#durability.close();
    this.#scans.close();
    // What is being hashed ends at once, and its files stay dirty.
    await this.#hashers.close();
    const barrier = beginBarrier(state);
    await this.#loop.end();
    const isSound = this.#loop.failure === undefined;
    if (isSound) await this.#leaveClean(barrier);
    await this.#lookers.close();
    await this.#cuts.close();
    this.feed.close();
    // Readers first: what they read from stays open until they have answered.
    await this.#readers.close();
    this.#blocks.close();
    await state.tables.flushed();
    await state.tables.close();
    closeSync(this.#parts.directoryFd);
    if (isSound) await noteClosed(this.#parts.directory, dataFileName);
  }

  async #leaveClean(barrier: ReturnType<typeof beginBarrier>): Promise<void> {
    const state = this.#state;
    // What was not listed yet may hold contents that no mutation told of.
    if (this.#scans.isDone && !state.isDoubtful) await endBarrier(state, { ...barrier, lookSerial: state.lookSerial });
    await state.write(() => state.dirty.saveRanges());
  }
}

/** O_PATH, which Node.js does not name. */
const openPath = 0o10000000;
