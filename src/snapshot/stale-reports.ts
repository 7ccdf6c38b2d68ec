/** Tells the repository, in batches, which entries of its map were wrong. A courtesy: failing to do so harms nobody. */
import type { Digest } from '../core/digest.ts';
import type { HolderLookup } from '../core/ports.ts';

const batchMax = 4096;
/** Kept for one peer; more is forgotten, and found again by somebody else. */
const waitingMax = 65_536;

export class StaleReports {
  readonly #holders: Pick<HolderLookup, 'reportMissing'>;
  readonly #waiting = new Map<string, Digest[]>();
  readonly #sending = new Map<string, Promise<void>>();

  constructor(holders: Pick<HolderLookup, 'reportMissing'>) {
    this.#holders = holders;
  }

  /** `peer` did not have what `digest` names. */
  add(peer: string, digest: Digest): void {
    const waiting = this.#waiting.get(peer) ?? [];
    if (waiting.length >= waitingMax) return;
    waiting.push(digest);
    this.#waiting.set(peer, waiting);
    if (waiting.length >= batchMax) this.send(peer);
  }

  /** Sends what waits for one peer, one batch after another. */
  send(peer: string): void {
    if (this.#sending.has(peer) || !this.#waiting.has(peer)) return;
    const sending = this.#sendAll(peer).finally(() => this.#sending.delete(peer));
    this.#sending.set(peer, sending);
  }

  /** Sends everything that waits. */
  async drain(): Promise<void> {
    for (const peer of [...this.#waiting.keys()]) this.send(peer);
    await Promise.all(this.#sending.values());
  }

  async #sendAll(peer: string): Promise<void> {
    for (;;) {
      const batch = this.#waiting.get(peer)?.splice(0, batchMax) ?? [];
      if (batch.length === 0) break;
      // The map stays wrong if this fails; whoever asks next finds out anew.
      await this.#holders.reportMissing(peer, batch).catch(() => undefined);
    }
    this.#waiting.delete(peer);
  }
}
