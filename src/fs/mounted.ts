/**
 * One mount and the threads behind it, from mount to end: what live data directories and read-only trees have in common.
 *
 * States: mounted → (unmounting →) ended. It ends once, whoever ends it: `unmount`, somebody outside, or a failure.
 */
import { closeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { CovaultError } from '../core/errors.ts';
import { type DataSessionOptions, loadAddon, type NativeSession } from './addon.ts';
import { deviceOfMount, type Mounter, type MountForm } from './mounting.ts';

export interface UnmountOptions {
  /**
   * Unmount although it is in use: what was written is flushed, the mount leaves its place at once, and files that are
   * still open fail with ENOTCONN after a short time. For the end of a daemon.
   */
  lazy?: boolean;
}

/** How long a lazily detached mount may still serve open files, milliseconds. */
const lazyGraceMs = 2000;

/** A data directory from which no request has come back for so long while a flush waits is given up, milliseconds. */
const hangMs = 10_000;

/** How the threads are to be made, apart from what the mount itself decides. */
export type SessionParts =
  | Omit<DataSessionOptions, 'fuseFd' | 'mountpoint' | 'helper'>
  | {
      transport: 'device';
      inFlightMax: number;
      /** Gives the function that is called when requests wait; called once, before the first of them. */
      serve(native: NativeSession): () => void;
    };

type EndReason = 'unmounted' | 'failed';

export class Mounted {
  readonly mountpoint: string;
  readonly native: NativeSession;
  /** Resolves when the connection has ended and the threads are gone; rejects with `E_MOUNT` if it failed. */
  readonly ended: Promise<void>;
  /** "major:minor" of the mounted file system. */
  readonly device: string | undefined;
  readonly #mounter: Mounter;
  readonly #connection: PromiseWithResolvers<EndReason>;
  readonly #closeAtExit = () => this.native.close();
  #unmounting: Promise<void> | undefined;
  #isEnded = false;
  #isHung = false;

  private constructor(parts: {
    mountpoint: string;
    native: NativeSession;
    mounter: Mounter;
    device: string | undefined;
    connection: PromiseWithResolvers<EndReason>;
  }) {
    this.mountpoint = parts.mountpoint;
    this.native = parts.native;
    this.device = parts.device;
    this.#mounter = parts.mounter;
    this.#connection = parts.connection;
    // process.exit() ends native threads without asking them; the kernel's last writes need them still.
    process.once('exit', this.#closeAtExit);
    this.ended = parts.connection.promise.then((reason) => this.#end(reason));
    // Whoever waits for it learns of a failure; nobody has to.
    this.ended.catch(() => undefined);
  }

  /**
   * Mounts and starts to answer.
   *
   * @throws CovaultError `E_MOUNT` or `E_REQUIREMENT`; then nothing is mounted.
   */
  static async open(
    mounter: Mounter,
    options: { mountpoint: string; form: MountForm; parts: SessionParts },
  ): Promise<Mounted> {
    const { mountpoint, form, parts } = options;
    const fuseFd = await mounter.mount(mountpoint, form);
    const connection = Promise.withResolvers<EndReason>();
    let native: NativeSession | undefined;
    try {
      native = makeSession(parts, { fuseFd, mountpoint, helper: mounter.helper }, connection.resolve);
      const problem = await native.start();
      if (problem !== '') throw new CovaultError('E_MOUNT', `${mountpoint} cannot be served: ${problem}`);
      const device = await deviceOfMount(mountpoint);
      return new Mounted({ mountpoint, native, mounter, device, connection });
    } catch (error) {
      await mounter.unmount(mountpoint, true).catch(() => undefined);
      if (native) await native.stop();
      else closeSync(fuseFd);
      throw error;
    }
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** The data directory did not answer any more when the mount was taken away. */
  get isHung(): boolean {
    return this.#isHung;
  }

  /** @throws CovaultError `E_MOUNT` if it is in use (unless lazy); it is mounted as before then. */
  unmount(options: UnmountOptions = {}): Promise<void> {
    if (this.#isEnded) return this.ended;
    this.#unmounting ??= this.#unmount(options).finally(() => {
      this.#unmounting = undefined;
    });
    return this.#unmounting;
  }

  /**
   * Everything written before the call has been answered by the threads when it resolves.
   *
   * @throws CovaultError `E_MOUNT` if the mount has ended.
   */
  async flush(): Promise<void> {
    if (this.#isEnded) throw new CovaultError('E_MOUNT', `${this.mountpoint} is not mounted any more`);
    await loadAddon().syncMount(this.mountpoint);
  }

  async #unmount({ lazy = false }: UnmountOptions): Promise<void> {
    // Somebody else may have unmounted it, or mounted something upon it.
    const isOurs = this.device !== undefined && (await deviceOfMount(this.mountpoint)) === this.device;
    if (isOurs && lazy) await this.#detach();
    else if (isOurs) {
      await this.flush().catch(() => undefined);
      await this.#mounter.unmount(this.mountpoint, false);
    }
    // Open files, or other mount namespaces, may hold on to what has left its place.
    const grace = new AbortController();
    const isOver = await Promise.race([
      this.ended.then(() => true),
      delay(lazyGraceMs, false, { signal: grace.signal }).catch(() => true),
    ]);
    grace.abort();
    if (!isOver) {
      // What was written during that time was accepted too.
      if (this.native.counters().dataMode === 'writeback') await this.#isFinished(this.native.finishWrites());
      this.#connection.resolve('unmounted');
    }
    await this.ended;
  }

  /** Detaches a mount that may be in use. With a data directory that hangs, what was not written to it is lost. */
  async #detach(): Promise<void> {
    const isWritten = await this.#isFinished(this.flush());
    // The last user's going writes out as well, and would wait for ever.
    if (isWritten) {
      const unmounting = this.#mounter.unmount(this.mountpoint, true);
      if (await this.#isFinished(unmounting)) return unmounting;
    }
    this.#isHung = true;
    await this.#isFinished(this.#mounter.abandon(this.mountpoint));
  }

  /** Waits for something that causes requests; false if it waits for a data directory that hangs. */
  async #isFinished(work: Promise<void>): Promise<boolean> {
    const finished = work.then(
      () => true,
      () => true,
    );
    for (;;) {
      const before = this.#requestsCount();
      const waiting = new AbortController();
      const pause = delay(hangMs, undefined, { signal: waiting.signal }).catch(() => undefined);
      const isFinished = await Promise.race([finished, pause]);
      waiting.abort();
      if (isFinished !== undefined) return true;
      if (this.#requestsCount() === before) return false;
    }
  }

  #requestsCount(): number {
    return Object.values(this.native.counters().requests).reduce((sum, count) => sum + count, 0);
  }

  async #end(reason: EndReason): Promise<void> {
    this.#isEnded = true;
    const { failure } = this.native.counters();
    // A mount whose threads gave up would only answer with errors.
    if (reason === 'failed') await this.#mounter.unmount(this.mountpoint, true).catch(() => undefined);
    await this.native.stop();
    process.off('exit', this.#closeAtExit);
    if (reason === 'failed') throw new CovaultError('E_MOUNT', `${this.mountpoint} is no longer served: ${failure}`);
  }
}

function makeSession(
  parts: SessionParts,
  place: { fuseFd: number; mountpoint: string; helper: string },
  onEnd: (reason: EndReason) => void,
): NativeSession {
  const { Session } = loadAddon();
  if ('log' in parts) return new Session({ ...parts, ...place }, onEnd);
  const { transport, inFlightMax, serve } = parts;
  let onRequests = () => {};
  const native = new Session({ transport, inFlightMax, onRequests: () => onRequests(), ...place }, onEnd);
  onRequests = serve(native);
  return native;
}
