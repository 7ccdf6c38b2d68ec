/**
 * How often the index had not known of a change: kept over restarts, since it says how far Covault is to be trusted
 * here, and how much of it is still news: until a full check found nothing.
 */
import { metaKeys, readCount, writeCount } from './meta.ts';
import type { IndexState } from './state.ts';

export class Misses {
  readonly #state: IndexState;
  #ever: number;
  #open: number;

  constructor(state: IndexState) {
    this.#state = state;
    this.#ever = readCount(state.tables, metaKeys.misses);
    this.#open = readCount(state.tables, metaKeys.missesOpen);
  }

  /** Since the index was made. */
  get ever(): number {
    return this.#ever;
  }

  /** Since the last full check that found none. */
  get open(): number {
    return this.#open;
  }

  note(count: number): Promise<void> {
    this.#ever += count;
    this.#open += count;
    return this.#write();
  }

  /** A full check ended, and found so many. */
  async noteCheck(found: number): Promise<void> {
    if (found > 0 || this.#open === 0) return;
    this.#open = 0;
    await this.#write();
  }

  #write(): Promise<void> {
    const { tables } = this.#state;
    return this.#state.write(() => {
      writeCount(tables, metaKeys.misses, this.#ever);
      writeCount(tables, metaKeys.missesOpen, this.#open);
    });
  }
}
