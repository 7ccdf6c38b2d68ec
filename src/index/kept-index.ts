/**
 * The index as the daemon keeps it: one that is thrown away and made anew while the mount, and whoever uses the index,
 * go on: because somebody asks for it, or because its tables turn out to be damaged.
 *
 * While there is none, blocks are not held, cuts are refused as busy, and mutations need not be kept: a new index lists
 * the whole data directory after it was opened, and sees what they tell.
 */
import type { Digest } from '../core/digest.ts';
import { CovaultError, isCovaultError } from '../core/errors.ts';
import type { Mutation } from '../core/mutation.ts';
import type { BlockSource, Cut, CutSource, FeedSource, PackedBlock } from '../core/ports.ts';
import type { CheckOptions, CheckReport } from './check.ts';
import type { IndexStatus } from './index-status.ts';
import { type IndexOptions, type LiveIndex, openIndex } from './live-index.ts';
import type { FoundIndex } from './open-tables.ts';
import type { ScanOptions, ScanReport } from './scans.ts';

export interface KeptIndexOptions extends Omit<IndexOptions, 'onFailure' | 'discard'> {
  /** A sentence for the user: the index was made anew, and why. */
  onNotice(text: string): void;
}

/** An index that is damaged again after it was made anew so often is left as it is: that would go on for ever. */
const rebuildsMax = 3;

export class KeptIndex implements BlockSource, CutSource {
  readonly #options: KeptIndexOptions;
  #current: LiveIndex | undefined;
  #last: IndexStatus;
  #replacing: Promise<void> | undefined;
  #damagedCount = 0;
  #isClosing = false;

  static async open(options: KeptIndexOptions): Promise<KeptIndex> {
    let kept: KeptIndex | undefined;
    const index = await openIndex({ ...options, onFailure: (error) => kept?.failed(error) });
    if (index.notice !== undefined) options.onNotice(index.notice);
    kept = new KeptIndex(options, index);
    return kept;
  }

  private constructor(options: KeptIndexOptions, index: LiveIndex) {
    this.#options = options;
    this.#current = index;
    this.#last = index.status();
  }

  /** How it was found when it was opened last. */
  get found(): FoundIndex {
    return this.#current?.found ?? this.#last.found;
  }

  consume(batch: readonly Mutation[]): void {
    this.#current?.consume(batch);
  }

  /** As `LiveIndex.reachCut`; the cuts of an index that is gone have failed. */
  reachCut(number: bigint): void {
    this.#current?.reachCut(number);
  }

  status(): IndexStatus {
    if (this.#current) this.#last = this.#current.status();
    return this.#current ? this.#last : { ...this.#last, isLevel: false, failure: undefined };
  }

  /** As `LiveIndex.scan`; begins anew if the index is made anew meanwhile. */
  async scan(options: ScanOptions = {}): Promise<ScanReport> {
    for (;;) {
      const index = await this.#whenOpen();
      try {
        return await index.scan(options);
      } catch (error) {
        if (options.signal?.aborted || this.#isClosing || index === this.#current) throw error;
      }
    }
  }

  async level(options: { signal?: AbortSignal } = {}): Promise<void> {
    await (await this.#whenOpen()).level(options);
  }

  async check(options: CheckOptions = {}): Promise<CheckReport> {
    return await (await this.#whenOpen()).check(options);
  }

  async openCut(options: { signal?: AbortSignal } = {}): Promise<Cut> {
    return await this.#present().openCut(options);
  }

  async readBlock(digest: Digest): Promise<Uint8Array | undefined> {
    return await this.#current?.readBlock(digest);
  }

  async readPacked(digest: Digest): Promise<PackedBlock | undefined> {
    return await this.#current?.readPacked(digest);
  }

  readonly feed: FeedSource = {
    history: () => this.#present().feed.history(),
    lastSequence: () => this.#current?.feed.lastSequence() ?? 0,
    changesAfter: (sequence, digestsMax) => this.#present().feed.changesAfter(sequence, digestsMax),
    acknowledge: (sequence) => this.#present().feed.acknowledge(sequence),
    holdings: (digestsPerPage) => this.#present().feed.holdings(digestsPerPage),
    changedAfter: (sequence, options) => this.#present().feed.changedAfter(sequence, options),
  };

  /** Throws the index away; resolves when there is a new one, which is being filled. */
  async rebuild(reason: string): Promise<void> {
    this.#replacing ??= this.#replace({ reason, keep: false });
    await this.#replacing;
  }

  /** The index has stopped, and says why. */
  failed(error: unknown): void {
    const isOther = ['E_NO_SPACE', 'E_IO', 'E_INTERRUPTED'] as const;
    if (this.#isClosing || isOther.some((code) => isCovaultError(error, code))) return;
    if (++this.#damagedCount > rebuildsMax) return;
    const reason = error instanceof Error ? error.message : String(error);
    this.#replacing ??= this.#replace({ reason, keep: true });
    // That it failed is what the next status says.
    this.#replacing.catch(() => undefined);
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    await this.#replacing?.catch(() => undefined);
    await this.#current?.close();
  }

  async #replace(discard: { reason: string; keep: boolean }): Promise<void> {
    const index = this.#present();
    this.#last = index.status();
    this.#current = undefined;
    try {
      await index.close();
      this.#current = await openIndex({ ...this.#options, discard, onFailure: (error) => this.failed(error) });
    } finally {
      // Without a new one the old one stays, which is closed and says why it stopped.
      this.#current ??= index;
      this.#replacing = undefined;
    }
    const { notice } = this.#current;
    if (notice !== undefined) this.#options.onNotice(notice);
    // Whoever needs it waits for it, or is told that it failed.
    if (!this.#isClosing) this.#current.scan().catch(() => undefined);
  }

  async #whenOpen(): Promise<LiveIndex> {
    await this.#replacing?.catch(() => undefined);
    return this.#present();
  }

  #present(): LiveIndex {
    if (this.#current) return this.#current;
    throw new CovaultError('E_BUSY', 'the index is being made anew', { hint: 'try again in a moment' });
  }
}
