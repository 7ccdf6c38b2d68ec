/**
 * The slow re-hash in the background: some files each day, in the order of their inodes, around and around. It shows that
 * no change was missed; if one was, it is counted, reported and mended (`check.ts`).
 */
import { type CheckTools, confirmed, contentDiffers } from './check.ts';
import { inodeKey, inodeOfKey, type Place } from './layout.ts';
import { metaKeys, readText, writeMeta } from './meta.ts';
import { placeOf } from './names.ts';

/** Milliseconds between two pieces of work. */
const intervalMs = 60_000;
const intervalsPerDay = (24 * 60 * 60_000) / intervalMs;

/** Files in one piece of work. */
const filesMax = 256;

export class RollingCheck {
  readonly #tools: CheckTools;
  readonly #bytesPerInterval: number;
  readonly #timer: NodeJS.Timeout | undefined;
  /** Bytes that may be hashed now; below 0 after a large file. */
  #allowance = 0;
  #isBusy = false;
  #isClosed = false;

  /** @param options.bytesPerDay 0: never. */
  constructor(options: CheckTools & { bytesPerDay: number }) {
    this.#tools = options;
    this.#bytesPerInterval = options.bytesPerDay / intervalsPerDay;
    if (options.bytesPerDay <= 0) return;
    this.#timer = setInterval(() => void this.#tick(), intervalMs);
    this.#timer.unref();
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
  }

  /** Hashes the next files of at most about `bytes` together. @returns how many misses were found. */
  async run(bytes: number): Promise<number> {
    const { state, loop } = this.#tools;
    const doubts: Place[] = [];
    let left = bytes;
    let cursor = BigInt(readText(state.tables, metaKeys.rolling) ?? '0');
    for (let files = 0; files < filesMax && left > 0 && !this.#isClosed; files++) {
      const [key] = [...state.tables.inodes.keys({ start: inodeKey(cursor + 1n), limit: 1 })];
      cursor = key ? inodeOfKey(key) : 0n;
      if (!key) break;
      const result = await contentDiffers(this.#tools, cursor);
      left -= result?.bytes ?? 0;
      const place = result?.differs ? placeOf(state, cursor) : undefined;
      if (place) doubts.push(place);
    }
    this.#allowance = left;
    const reached = cursor.toString();
    await loop.run(() => state.write(() => writeMeta(state.tables, metaKeys.rolling, reached)));
    if (doubts.length === 0) return 0;
    await this.#tools.level();
    return (await confirmed(this.#tools, doubts)).length;
  }

  async #tick(): Promise<void> {
    this.#allowance = Math.min(this.#allowance, 0) + this.#bytesPerInterval;
    if (this.#isBusy || this.#allowance <= 0) return;
    this.#isBusy = true;
    try {
      await this.run(this.#allowance);
    } catch {
      // The index is closing, or has stopped and says so itself.
    } finally {
      this.#isBusy = false;
    }
  }
}
