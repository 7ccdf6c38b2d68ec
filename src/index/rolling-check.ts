/**
 * The slow re-hash in the background: some files and directories each day, in the order of their inodes, around and
 * around. It shows that no change was missed; if one was, it is counted, reported and mended (`check.ts`). How far it is
 * is kept in the tables, so that it goes on there after a restart.
 */
import { asCount, asList, asUint64 } from '../core/shape.ts';
import { type CheckTools, compareDirectory, confirmed, type Doubt } from './check.ts';
import { compareContents, isTreeRight } from './compare.ts';
import { rowOf } from './holdings.ts';
import { inodeKey, inodeOfKey } from './layout.ts';
import { metaKeys, readMeta, writeMeta } from './meta.ts';
import { pathOf, placeOf } from './names.ts';
import type { IndexState } from './state.ts';

/** Milliseconds between two pieces of work. */
const intervalMs = 60_000;
const intervalsPerDay = (24 * 60 * 60_000) / intervalMs;

/** Files and directories in one piece of work. */
const inodesMax = 1024;

export interface RollingStatus {
  bytesPerDay: number;
  /** Of the present round through the whole directory. */
  files: number;
  directories: number;
  bytes: number;
  /** Rounds that came to the end, and when the last one did, milliseconds since 1970; 0: never. */
  rounds: number;
  lastRoundMs: number;
}

/** What is kept: *list* of cursor, allowance owed, files, directories, bytes, rounds, end of the last. */
interface Kept extends Omit<RollingStatus, 'bytesPerDay'> {
  cursor: bigint;
  /** Bytes read beyond what was allowed, by a large file. */
  owed: number;
}

export class RollingCheck {
  readonly #tools: CheckTools;
  readonly #bytesPerDay: number;
  readonly #timer: NodeJS.Timeout | undefined;
  #kept: Kept;
  #isBusy = false;
  #isClosed = false;

  /** @param options.bytesPerDay 0: never. */
  constructor(options: CheckTools & { bytesPerDay: number }) {
    this.#tools = options;
    this.#bytesPerDay = options.bytesPerDay;
    this.#kept = readKept(options.state);
    if (options.bytesPerDay <= 0) return;
    this.#timer = setInterval(() => void this.#tick(), intervalMs);
    this.#timer.unref();
  }

  status(): RollingStatus {
    const { cursor: _, owed: __, ...figures } = this.#kept;
    return { bytesPerDay: this.#bytesPerDay, ...figures };
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
  }

  /** Compares the next files of at most about `bytes` together. @returns how many misses were found. */
  async run(bytes: number): Promise<number> {
    const { state, loop } = this.#tools;
    const doubts: Doubt[] = [];
    const kept = { ...this.#kept };
    let left = bytes;
    for (let count = 0; count < inodesMax && left > 0 && !this.#isClosed; count++) {
      const [key] = [...state.tables.inodes.keys({ start: inodeKey(kept.cursor + 1n), limit: 1 })];
      if (!key) {
        Object.assign(kept, { cursor: 0n, files: 0, directories: 0, bytes: 0, rounds: kept.rounds + 1 });
        kept.lastRoundMs = Math.floor(state.clock.nowMs());
        break;
      }
      kept.cursor = inodeOfKey(key);
      const hashed = await this.#compare(kept.cursor, kept, doubts);
      kept.bytes += hashed;
      left -= hashed;
    }
    kept.owed = Math.max(0, -left);
    await loop.run(() => state.write(() => writeKept(state, kept)));
    this.#kept = kept;
    if (doubts.length === 0) return 0;
    await this.#tools.level();
    return (await confirmed(this.#tools, doubts)).length;
  }

  /** @returns bytes hashed. */
  async #compare(inode: bigint, kept: Kept, doubts: Doubt[]): Promise<number> {
    const { state, hashers } = this.#tools;
    const kind = rowOf(state, inode)?.kind;
    if (kind === 'directory' && !state.foreign.has(inode) && pathOf(state, inode)) {
      const found = await compareDirectory(this.#tools, inode);
      doubts.push(...(found?.doubts ?? []).map((place) => ({ place })));
      if (!isTreeRight(state, inode)) doubts.push({ tree: inode });
      kept.directories++;
    }
    if (kind !== 'file') return 0;
    const [compared] = await compareContents(state, hashers, [inode]);
    const place = placeOf(state, inode);
    if (place && (compared?.found === 'other content' || compared?.found === 'other places')) doubts.push({ place });
    kept.files++;
    return compared?.bytes ?? 0;
  }

  async #tick(): Promise<void> {
    const allowance = this.#bytesPerDay / intervalsPerDay - this.#kept.owed;
    if (this.#isBusy) return;
    this.#isBusy = true;
    try {
      if (allowance > 0) await this.run(allowance);
      else this.#kept = { ...this.#kept, owed: -allowance };
    } catch {
      // The index is closing, or has stopped and says so itself.
    } finally {
      this.#isBusy = false;
    }
  }
}

function readKept({ tables }: IndexState): Kept {
  const value = readMeta(tables, metaKeys.rolling);
  const fields = value === undefined ? [0, 0, 0, 0, 0, 0, 0] : asList(value, metaKeys.rolling);
  const count = (position: number) => asCount(fields[position], metaKeys.rolling);
  return {
    cursor: asUint64(fields[0], metaKeys.rolling),
    owed: count(1),
    files: count(2),
    directories: count(3),
    bytes: count(4),
    rounds: count(5),
    lastRoundMs: count(6),
  };
}

/** Within a transaction. */
function writeKept({ tables }: IndexState, kept: Kept): void {
  const { cursor, owed, files, directories, bytes, rounds, lastRoundMs } = kept;
  writeMeta(tables, metaKeys.rolling, [cursor, Math.round(owed), files, directories, bytes, rounds, lastRoundMs]);
}
