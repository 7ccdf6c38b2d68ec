/** A feed in memory that does what `FeedSource` promises, for tests of whoever reads one. */
import { once } from 'node:events';
import { randomId } from '../../src/core/clock.ts';
import { type Digest, type DigestKey, digestFromKey, digestKey } from '../../src/core/digest.ts';
import { CovaultError } from '../../src/core/errors.ts';
import type { FeedSource } from '../../src/core/ports.ts';

interface Change {
  sequence: number;
  key: DigestKey;
  gained: boolean;
}

export class MemoryFeed implements FeedSource {
  readonly #changed = new EventTarget();
  #history = randomId();
  #held = new Set<DigestKey>();
  #changes: Change[] = [];
  #last = 0;
  #forgotten = 0;
  /** The highest sequence number acknowledged so far. */
  acknowledged = 0;

  /** One change, with one sequence number. */
  gain(...digests: Digest[]): void {
    this.#change(digests, true);
  }

  lose(...digests: Digest[]): void {
    this.#change(digests, false);
  }

  /** Forgets changes that nobody acknowledged. */
  forget(): void {
    this.#forgotten = this.#last;
    this.#changes = [];
  }

  /** Forgets the history, as an index that is built anew does; the holdings stay. */
  startOver(): void {
    this.#history = randomId();
    this.#changes = [];
    this.#last = 0;
    this.#forgotten = 0;
    this.acknowledged = 0;
    this.#changed.dispatchEvent(new Event('changed'));
  }

  held(): Digest[] {
    return [...this.#held].sort().map(digestFromKey);
  }

  history(): string {
    return this.#history;
  }

  lastSequence(): number {
    return this.#last;
  }

  changesAfter(sequence: number, digestsMax: number): { gained: Digest[]; lost: Digest[]; upTo: number } {
    if (sequence < Math.max(this.acknowledged, this.#forgotten)) throw new CovaultError('E_NOT_FOUND', 'forgotten');
    const last = new Map<DigestKey, boolean>();
    let upTo = sequence;
    for (const change of this.#changes) {
      if (change.sequence <= sequence) continue;
      if (last.size >= digestsMax && change.sequence > upTo) break;
      last.set(change.key, change.gained);
      upTo = change.sequence;
    }
    const pick = (gained: boolean) =>
      [...last].filter((change) => change[1] === gained).map(([key]) => digestFromKey(key));
    return { gained: pick(true), lost: pick(false), upTo };
  }

  async acknowledge(sequence: number): Promise<void> {
    this.acknowledged = Math.max(this.acknowledged, sequence);
    this.#changes = this.#changes.filter((change) => change.sequence > sequence);
  }

  holdings(digestsPerPage: number): { sequence: number; pages: Iterable<Digest[]>; close(): void } {
    const all = this.held();
    const pages: Digest[][] = [];
    for (let at = 0; at < all.length; at += digestsPerPage) pages.push(all.slice(at, at + digestsPerPage));
    return { sequence: this.#last, pages, close: () => undefined };
  }

  async changedAfter(sequence: number, options: { signal: AbortSignal }): Promise<void> {
    options.signal.throwIfAborted();
    while (this.#last <= sequence) await once(this.#changed, 'changed', options);
  }

  #change(digests: Digest[], gained: boolean): void {
    const keys = new Set(digests.map(digestKey));
    const changed = [...keys].filter((key) => this.#held.has(key) !== gained);
    if (changed.length > 0) this.#last += 1;
    for (const key of changed) {
      if (gained) this.#held.add(key);
      else this.#held.delete(key);
      this.#changes.push({ sequence: this.#last, key, gained });
    }
    this.#changed.dispatchEvent(new Event('changed'));
  }
}
