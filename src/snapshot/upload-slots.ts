/** How many requests for blocks are answered at once, in all and for one puller: the rest is asked to come again. */
import { CovaultError } from '../core/errors.ts';
import type { SlotLimits } from './serving-policy.ts';

/** A request for blocks is about half a second of a puller's link, so by then a slot was given back. */
const slotRetryMs = 500;

export class UploadSlots {
  /** May be changed; slots that are taken stay taken. */
  limits: SlotLimits;
  readonly #byPuller = new Map<string, number>();
  #taken = 0;

  constructor(limits: SlotLimits) {
    this.limits = limits;
  }

  get taken(): number {
    return this.#taken;
  }

  /**
   * Takes a slot and returns what gives it back, which must be called once.
   *
   * @throws CovaultError `E_BUSY` if there is none.
   */
  take(puller: string): () => void {
    const own = this.#byPuller.get(puller) ?? 0;
    if (this.#taken >= this.limits.total || own >= this.limits.perPuller) {
      throw new CovaultError('E_BUSY', `${this.#taken} requests for blocks are being answered already`, {
        hint: 'try again in a moment',
        retryAfterMs: slotRetryMs,
      });
    }
    this.#taken += 1;
    this.#byPuller.set(puller, own + 1);
    return () => {
      this.#taken -= 1;
      const left = (this.#byPuller.get(puller) ?? 1) - 1;
      if (left > 0) this.#byPuller.set(puller, left);
      else this.#byPuller.delete(puller);
    };
  }
}
