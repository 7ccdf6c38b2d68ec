/** Reads blocks and objects out of packs: verified, cached, and many at once in the order of the packs. */
import { type Digest, type Digester, digestKey } from '../core/digest.ts';
import { CovaultError, invariant, isCovaultError } from '../core/errors.ts';
import type { Backend, ByteRange } from './backend.ts';
import { ByteCache } from './byte-cache.ts';
import type { Catalog, Entry } from './catalog.ts';
import { packName } from './layout.ts';
import type { EntryKind, PackRow } from './pack-format.ts';
import { openEntry } from './pack-reader.ts';

/** Bytes read at once when entries stand close together. */
const runBytesMax = 4 * 1024 * 1024;

/** Bytes between two wanted entries that are rather read along than skipped. */
const gapBytesMax = 64 * 1024;

/** Entries that stand close together in one pack. */
export interface EntryRun {
  entries: Entry[];
  range: ByteRange;
}

export class EntryReader {
  readonly #backend: Backend;
  readonly #catalog: Catalog;
  readonly #digester: Digester;
  readonly #cache: ByteCache;
  readonly #cacheBytes: number;
  /** Reads under way, so that one entry is never read twice at once. */
  readonly #reading = new Map<string, Promise<Uint8Array>>();

  constructor(backend: Backend, catalog: Catalog, digester: Digester, cacheBytes: number) {
    this.#backend = backend;
    this.#catalog = catalog;
    this.#digester = digester;
    this.#cacheBytes = cacheBytes;
    this.#cache = new ByteCache(cacheBytes);
  }

  /**
   * The verified bytes of an entry, or undefined if nothing is known of it. They may be shared: not to be changed.
   *
   * @throws CovaultError `E_CORRUPT` if it is damaged or its pack is gone; `E_IO`.
   */
  async read(kind: EntryKind, digest: Digest): Promise<Uint8Array | undefined> {
    const key = cacheKey(kind, digest);
    const cached = this.#cache.get(key) ?? this.#reading.get(key);
    if (cached) return cached;
    const entry = this.#catalog.find(kind, digest);
    if (!entry) return undefined;
    const reading = this.#readOne(entry);
    this.#reading.set(key, reading);
    try {
      const bytes = await reading;
      this.#cache.set(key, bytes);
      return bytes;
    } finally {
      this.#reading.delete(key);
    }
  }

  /** Puts what was just written into the cache, so that it is not read again. Takes over `bytes`, which are verified. */
  keep(kind: EntryKind, digest: Digest, bytes: Uint8Array): void {
    this.#cache.set(cacheKey(kind, digest), bytes);
  }

  /**
   * Brings entries into the cache, those that fit into half of it, reading packs from front to back. What fails is
   * left to `read`, which says why.
   */
  async prefetch(kind: EntryKind, digests: readonly Digest[], options: { signal?: AbortSignal } = {}): Promise<void> {
    const wanted: Entry[] = [];
    let bytes = 0;
    for (const digest of digests) {
      if (this.#cache.has(cacheKey(kind, digest))) continue;
      const entry = this.#catalog.find(kind, digest);
      if (!entry || entry.pack.lost) continue;
      bytes += entry.place.rawBytes;
      if (bytes > this.#cacheBytes / 2) break;
      wanted.push(entry);
    }
    for (const run of entryRuns(wanted)) {
      if (options.signal?.aborted) return;
      await this.#readRun(run);
    }
  }

  async #readOne(entry: Entry): Promise<Uint8Array> {
    const { place, pack } = entry;
    const stored = await this.#readRange(pack.hash, { offset: place.offset, length: place.storedBytes });
    return openEntry(pack.key, pack.hash, rowOf(entry), stored, this.#digester);
  }

  async #readRun(run: EntryRun): Promise<void> {
    const [first] = run.entries;
    invariant(first, 'a run has entries');
    const bytes = await this.#readRange(first.pack.hash, run.range).catch(() => undefined);
    if (!bytes) return;
    await Promise.allSettled(
      run.entries.map(async (entry) => {
        const at = entry.place.offset - run.range.offset;
        const stored = bytes.subarray(at, at + entry.place.storedBytes);
        const opened = await openEntry(entry.pack.key, entry.pack.hash, rowOf(entry), stored, this.#digester);
        this.#cache.set(cacheKey(entry.kind, entry.digest), opened);
      }),
    );
  }

  async #readRange(hash: string, range: ByteRange): Promise<Uint8Array> {
    try {
      return await this.#backend.read(packName(hash), range);
    } catch (error) {
      if (!isCovaultError(error, 'E_NOT_FOUND')) throw error;
      throw new CovaultError('E_CORRUPT', `${packName(hash)} is missing`, { cause: error });
    }
  }
}

/** Entries in the order of packs and offsets, joined where they stand close together. A repeated one counts once. */
export function entryRuns(entries: readonly Entry[]): EntryRun[] {
  const sorted = [...entries].sort((a, b) => a.pack.number - b.pack.number || a.place.offset - b.place.offset);
  const runs: EntryRun[] = [];
  for (const entry of sorted) {
    const { offset, storedBytes } = entry.place;
    const run = runs.at(-1);
    const last = run?.entries.at(-1);
    if (!run || !last || last.pack !== entry.pack || !fits(run.range, offset, storedBytes)) {
      runs.push({ entries: [entry], range: { offset, length: storedBytes } });
    } else if (last.place.offset !== offset) {
      run.entries.push(entry);
      run.range.length = offset + storedBytes - run.range.offset;
    }
  }
  return runs;
}

export function rowOf({ digest, kind, place }: Entry): PackRow {
  const { compressed, offset, storedBytes, rawBytes } = place;
  return { digest, kind, compressed, offset, storedBytes, rawBytes };
}

function fits(range: ByteRange, offset: number, bytes: number): boolean {
  const end = range.offset + range.length;
  return offset - end <= gapBytesMax && offset + bytes - range.offset <= runBytesMax;
}

function cacheKey(kind: EntryKind, digest: Digest): string {
  return kind + digestKey(digest);
}
