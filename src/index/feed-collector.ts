/** Gathers what one transaction gains and loses into one change of the feed. */
import { type Digest, type DigestKey, digestFromKey, digestKey } from '../core/digest.ts';
import { packFeedChange, sequenceKey, sequenceOfKey } from './layout.ts';
import { metaKeys, readCount, writeCount } from './meta.ts';
import type { Tables } from './tables.ts';

export class FeedCollector {
  readonly #tables: Tables;
  readonly #gained = new Set<DigestKey>();
  readonly #lost = new Set<DigestKey>();
  #sequence: number;
  #durable: number;
  #digestCount: number;
  #pending: number;
  #pendingCount: number;
  readonly #listeners = new Set<() => void>();

  constructor(tables: Tables) {
    this.#tables = tables;
    this.#sequence = readCount(tables, metaKeys.sequence);
    this.#durable = this.#sequence;
    this.#pending = this.#sequence;
    this.#digestCount = countDigests(tables);
    this.#pendingCount = this.#digestCount;
  }

  /** The last sequence number that survives a power cut. */
  get durableSequence(): number {
    return this.#durable;
  }

  /** The last sequence number that was committed. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Digests in the changes that are kept. */
  get digestCount(): number {
    return this.#digestCount;
  }

  gain(digest: Digest): void {
    const key = digestKey(digest);
    if (!this.#lost.delete(key)) this.#gained.add(key);
  }

  lose(digest: Digest): void {
    const key = digestKey(digest);
    if (!this.#gained.delete(key)) this.#lost.add(key);
  }

  /** At the end of a transaction: writes the change, if there is one. */
  seal(): void {
    const size = this.#gained.size + this.#lost.size;
    if (size === 0) return;
    this.#pending = this.#sequence + 1;
    this.#pendingCount = this.#digestCount + size;
    const change = packFeedChange([...this.#gained].map(digestFromKey), [...this.#lost].map(digestFromKey));
    this.#tables.feed.put(sequenceKey(this.#pending), change);
    writeCount(this.#tables, metaKeys.sequence, this.#pending);
    this.#gained.clear();
    this.#lost.clear();
  }

  /** After the commit: tells the listeners as soon as the change is durable. */
  committed(): void {
    if (this.#pending === this.#sequence) return;
    this.#sequence = this.#pending;
    this.#digestCount = this.#pendingCount;
    const sequence = this.#sequence;
    this.#tables.flushed().then(
      () => {
        this.#durable = Math.max(this.#durable, sequence);
        for (const listener of [...this.#listeners]) listener();
      },
      () => undefined,
    );
  }

  /** After changes were removed from the table. */
  removed(digests: number): void {
    this.#digestCount -= digests;
    this.#pendingCount -= digests;
  }

  /** Calls `listener` after each change; the answer ends that. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

function countDigests(tables: Tables): number {
  let count = 0;
  for (const { value } of tables.feed.range({})) count += Math.floor(value.byteLength / 32);
  return count;
}

/** The first sequence number that is kept, or undefined if none is. */
export function firstKept(tables: Tables): number | undefined {
  for (const key of tables.feed.keys({ limit: 1 })) return sequenceOfKey(key);
  return undefined;
}
