/**
 * A live data directory under a mount: requests are answered by native threads, never by JavaScript, and mutations come
 * out in one order.
 *
 * The process that calls this must never touch the mount itself from its JavaScript thread (`docs/design/mount.md`);
 * it reaches the data through `directoryFd`.
 */
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { release } from 'node:os';
import { systemClock } from '../core/clock.ts';
import { CovaultError, ioError, systemErrorCode } from '../core/errors.ts';
import type { Mutation } from '../core/mutation.ts';
import type { EngineCounters, EpochStatistics, MutationLogStatistics, SessionCounters } from './addon.ts';
import { type DataMode, dataModeFor } from './data-mode.ts';
import type { Epoch, EpochSource } from './epoch.ts';
import { Mounted, type UnmountOptions } from './mounted.ts';
import { findMounter } from './mounting.ts';
import { checkPlaces } from './mountpoint.ts';
import { MutationDelivery } from './mutation-delivery.ts';
import { liftWritebackLimits } from './writeback-limits.ts';

export type { DataMode } from './data-mode.ts';
export type { UnmountOptions } from './mounted.ts';

export type TransportChoice = 'auto' | 'device' | 'io_uring';

export interface MountOptions {
  dataDirectory: string;
  /** An empty directory outside of the data directory; by default the data directory itself. */
  at?: string;
  /** Default: what `dataModeFor` says of the running kernel. */
  dataMode?: DataMode;
  /** Default: `auto`, the fastest that the machine offers. */
  transport?: TransportChoice;
  /** Directories of Covault's own (state, stores), existing or not: mounting over or around them is refused. */
  keepOut: string[];
  /**
   * Called with each batch, in order, on the JavaScript thread, also during `unmount`. What it throws is an uncaught
   * exception.
   */
  onMutations(batch: Mutation[]): void;
  /** Called in its place between mutations when a cut was made (`openEpoch`). */
  onCut?(number: bigint): void;
  /** What open epochs may keep of content that changes, bytes; default: `defaultCutSpaceBytes`. */
  cutSpaceBytes?: number;
  /** Where they keep it if the data directory's file system has no files without a name. */
  spareDirectory?: string;
  /** Directories, separated by ":", in which `fusermount3` is looked for; by default the usual ones. */
  searchPath?: string;
  /** For tests: how much may wait for JavaScript before mutations become coarser. */
  mutationLog?: { chunkBytes?: number; chunksMax?: number; coarseRecordsMax?: number };
}

export const defaultCutSpaceBytes = 10_000_000_000;

export interface MountCounters extends SessionCounters {
  cuts: CutCounters;
  mutations: MutationLogStatistics;
}

export type { EngineCounters, MutationLogStatistics, SessionCounters };

export interface CutCounters extends EpochStatistics {
  /** How long the kernel took to flush for the last `settle`, milliseconds; nobody's changes wait for that. */
  flushLastMs: number;
}

export interface MountSession extends AsyncDisposable, EpochSource {
  /** Without symlinks. */
  readonly mountpoint: string;
  /**
   * The directory under the mount (O_PATH | O_DIRECTORY): what to open files with. It belongs to the session and is
   * closed by `dispose` only.
   */
  readonly directoryFd: number;
  readonly dataMode: DataMode;
  readonly transport: 'device' | 'io_uring';
  /**
   * Flushes the mount and resolves when every mutation made before the call has been given to `onMutations`.
   *
   * @throws CovaultError or a system error if the mount has ended.
   */
  settle(): Promise<void>;
  counters(): MountCounters;
  /** The data directory did not answer any more when it was unmounted: whatever still reads from it may never end. */
  readonly isHung: boolean;
  /**
   * Flushes, unmounts, delivers the last mutations, ends the threads. Idempotent.
   *
   * @throws CovaultError `E_MOUNT` if it is in use (unless lazy); it goes on as before then.
   */
  unmount(options?: UnmountOptions): Promise<void>;
  /** Unmounts lazily if need be and closes `directoryFd`. Idempotent. */
  dispose(): Promise<void>;
  /**
   * Resolves when it is unmounted, from outside too, and the last mutations were delivered; rejects with `E_MOUNT` if the
   * engine failed.
   */
  readonly closed: Promise<void>;
}

/**
 * Mounts a data directory, in place or elsewhere. A dead mount of Covault at that place (its daemon was killed) is
 * taken away first.
 *
 * @throws CovaultError `E_BAD_INPUT`, `E_NOT_FOUND`, `E_MOUNT` or `E_REQUIREMENT`; then nothing has changed.
 */
export async function mountDataDirectory(options: MountOptions): Promise<MountSession> {
  const mounter = await findMounter(options.searchPath);
  const { dataDirectory, at, keepOut } = options;
  const places = await checkPlaces({ dataDirectory, at, keepOut }, (place) => mounter.unmount(place, true));
  // Opened before anything is mounted over it.
  const directoryFd = openSync(places.dataDirectory, pathOnly | constants.O_DIRECTORY);
  let delivery: MutationDelivery | undefined;
  try {
    const rootInode = fstatSync(directoryFd, { bigint: true }).ino;
    const { onMutations, onCut = () => undefined } = options;
    delivery = new MutationDelivery({ rootInode, onMutations, onCut, ...options.mutationLog });
    const { transport = 'auto', dataMode = dataModeFor(release()), spareDirectory } = options;
    const { cutSpaceBytes = defaultCutSpaceBytes } = options;
    const spare = spareDirectory === undefined ? {} : { spareDirectory };
    const parts = { transport, directoryFd, dataMode, log: delivery.log, cutSpaceBytes, ...spare };
    const { mountpoint, restrictions } = places;
    const form = { restrictions, ownersDoNotMatter: false };
    const mounted = await Mounted.open(mounter, { mountpoint, form, parts });
    if (mounted.device !== undefined) await liftWritebackLimits(mounted.device);
    return new DataDirectorySession(mounted, directoryFd, delivery);
  } catch (error) {
    delivery?.close();
    closeSync(directoryFd);
    throw error;
  }
}

/** O_PATH of Linux, which Node.js does not name. */
const pathOnly = 0o10000000;

class DataDirectorySession implements MountSession {
  readonly mountpoint: string;
  readonly directoryFd: number;
  readonly dataMode: DataMode;
  readonly transport: 'device' | 'io_uring';
  readonly closed: Promise<void>;
  readonly #mounted: Mounted;
  readonly #delivery: MutationDelivery;
  #disposal: Promise<void> | undefined;
  #flushLastMs = 0;

  constructor(mounted: Mounted, directoryFd: number, delivery: MutationDelivery) {
    const { dataMode, transport } = mounted.native.counters();
    this.mountpoint = mounted.mountpoint;
    this.directoryFd = directoryFd;
    this.dataMode = dataMode;
    this.transport = transport;
    this.#mounted = mounted;
    this.#delivery = delivery;
    this.closed = mounted.ended.finally(() => this.#finish());
    this.closed.catch(() => undefined);
  }

  async settle(): Promise<void> {
    const startMs = systemClock.monotonicMs();
    await this.#mounted.flush();
    this.#flushLastMs = systemClock.monotonicMs() - startMs;
    await this.#delivery.deliverAll();
  }

  async openEpoch(number: bigint): Promise<Epoch> {
    if (this.#mounted.isEnded) throw new CovaultError('E_MOUNT', `${this.mountpoint} is not mounted any more`);
    const { native } = this.#mounted;
    const { id, timeNs, heldNs } = await native.openEpoch(number).catch((error: unknown) => {
      if (systemErrorCode(error) !== 'EBUSY') throw ioError(error, `keep what changes in ${this.mountpoint}`);
      throw new CovaultError('E_BUSY', `a change of ${this.mountpoint} does not end, so that no cut can be made`, {
        hint: 'see whether its disk is stuck',
      });
    });
    await this.#delivery.deliverAll();
    const failure = () => native.epochFailure(id);
    return { id, timeNs, heldNs, failure, close: () => native.closeEpoch(id) };
  }

  get isHung(): boolean {
    return this.#mounted.isHung;
  }

  counters(): MountCounters {
    const cuts = { ...this.#mounted.native.epochStatistics(), flushLastMs: this.#flushLastMs };
    return { ...this.#mounted.native.counters(), mutations: this.#delivery.statistics(), cuts };
  }

  async unmount(options: UnmountOptions = {}): Promise<void> {
    await this.#mounted.unmount(options);
    await this.closed;
  }

  dispose(): Promise<void> {
    this.#disposal ??= this.unmount({ lazy: true }).finally(() => closeSync(this.directoryFd));
    return this.#disposal;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  async #finish(): Promise<void> {
    await this.#delivery.deliverAll();
    this.#delivery.close();
  }
}
