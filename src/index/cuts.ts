/**
 * Open cuts: each holds one moment of the tables, and of the contents if it has an epoch, until it is closed or has been
 * left alone for too long.
 */
import { type Clock, randomId } from '../core/clock.ts';
import type { Digest } from '../core/digest.ts';
import { CovaultError } from '../core/errors.ts';
import type { Cut, ObjectKind } from '../core/ports.ts';
import type { SnapshotException } from '../core/snapshot.ts';
import type { DirectoryEntry } from '../core/tree.ts';
import type { Epoch } from '../fs/epoch.ts';
import { readRecipe } from './holdings.ts';
import { checkKept } from './leveling.ts';
import { pathOf } from './names.ts';
import { PastBlocks } from './past-blocks.ts';
import type { IndexState } from './state.ts';
import type { View } from './tables.ts';
import { readTree, rootEntry } from './trees.ts';

/** An open cut keeps every page of the tables that changes since from being used again. */
export const cutsMax = 8;

/** A cut that nobody reads from is closed after so many milliseconds. */
const idleMsMax = 30 * 60_000;

const sweepMs = 60_000;

/** Exceptions listed in a cut; there is no use in more. */
const exceptionsMax = 10_000;

export class Cuts {
  readonly #state: IndexState;
  readonly #clock: Clock;
  readonly #idleMsMax: number;
  readonly #open = new Map<string, HeldCut>();
  readonly #timer: NodeJS.Timeout;

  constructor(state: IndexState, options: { idleMsMax?: number } = {}) {
    this.#state = state;
    this.#clock = state.clock;
    this.#idleMsMax = options.idleMsMax ?? idleMsMax;
    this.#timer = setInterval(() => this.#sweep(), Math.min(sweepMs, this.#idleMsMax));
    this.#timer.unref();
  }

  get count(): number {
    return this.#open.size;
  }

  /** @throws CovaultError `E_BUSY` if as many cuts are open as may be. */
  checkRoom(): void {
    this.#sweep();
    if (this.#open.size < cutsMax) return;
    throw new CovaultError('E_BUSY', `${cutsMax} cuts are open already`, {
      hint: 'try again when a snapshot has ended',
    });
  }

  /** Holds the present state of the tables; call where nothing is being changed. */
  capture(timeNs: bigint, epoch?: Epoch): Cut {
    this.checkRoom();
    const root = rootEntry(this.#state);
    if (!root) throw new CovaultError('E_BUSY', 'the data directory has not been scanned yet');
    const cut = new HeldCut({
      state: this.#state,
      root,
      timeNs,
      epoch,
      exceptions: exceptionsOf(this.#state),
      onClose: (id) => this.#open.delete(id),
    });
    this.#open.set(cut.id, cut);
    return cut;
  }

  /** A block of one of the cuts, as it was then; verified. */
  async readBlock(digest: Digest): Promise<Uint8Array | undefined> {
    for (const cut of [...this.#open.values()]) {
      const bytes = await cut.readBlock(digest);
      if (bytes) return bytes;
    }
    return undefined;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    for (const cut of [...this.#open.values()]) await cut.close();
  }

  #sweep(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const cut of [...this.#open.values()]) if (nowMs - cut.usedAtMs > this.#idleMsMax) void cut.close();
  }
}

class HeldCut implements Cut {
  readonly id = randomId();
  readonly timeNs: bigint;
  readonly root: DirectoryEntry;
  readonly exceptions: SnapshotException[];
  usedAtMs: number;
  readonly #state: IndexState;
  readonly #onClose: (id: string) => void;
  readonly #epoch: Epoch | undefined;
  readonly #blocks: PastBlocks | undefined;
  #view: View | undefined;

  constructor(options: {
    state: IndexState;
    root: DirectoryEntry;
    timeNs: bigint;
    epoch: Epoch | undefined;
    exceptions: SnapshotException[];
    onClose(id: string): void;
  }) {
    this.#state = options.state;
    this.root = options.root;
    this.timeNs = options.timeNs;
    this.exceptions = options.exceptions;
    this.#onClose = options.onClose;
    this.#epoch = options.epoch;
    this.#view = options.state.tables.openView();
    this.#blocks = options.epoch && new PastBlocks(options.state, this.#view, options.epoch.id);
    this.usedAtMs = options.state.clock.monotonicMs();
  }

  async readObject(kind: ObjectKind, digest: Digest): Promise<Uint8Array | undefined> {
    this.renew();
    if (!this.#view) {
      throw new CovaultError('E_NOT_FOUND', `the cut ${this.id} is closed or has expired`, { hint: 'open another' });
    }
    return kind === 'tree' ? readTree(this.#state, digest, this.#view) : readRecipe(this.#state, digest, this.#view);
  }

  async readBlock(digest: Digest): Promise<Uint8Array | undefined> {
    const bytes = await this.#blocks?.readBlock(digest);
    if (bytes) this.usedAtMs = this.#state.clock.monotonicMs();
    return bytes;
  }

  renew(): void {
    this.usedAtMs = this.#state.clock.monotonicMs();
    if (this.#view && this.#epoch) checkKept(this.#epoch);
  }

  async close(): Promise<void> {
    this.#blocks?.close();
    this.#view?.done();
    this.#view = undefined;
    this.#onClose(this.id);
    await this.#epoch?.close();
  }
}

/** Files and directories whose content in the trees is missing or not known to be of one moment. */
function exceptionsOf(state: IndexState): SnapshotException[] {
  const exceptions: SnapshotException[] = [];
  const add = (inode: bigint, reason: string) => {
    const path = exceptions.length < exceptionsMax ? pathOf(state, inode) : undefined;
    if (path) exceptions.push({ path, reason });
  };
  for (const [inode, code] of state.unreadable) add(inode, `cannot be read (${code})`);
  for (const inode of state.unsettled) add(inode, 'went on changing while it was read');
  return exceptions;
}
