/** The part of a check that looks at packs: against the index files, their own trailers, and all of their bytes. */
import { checkInterrupted } from '../core/errors.ts';
import type { CheckOptions, CheckParts } from './check-parts.ts';
import type { CheckFinding, CheckFindings } from './check-report.ts';
import { startChecksum } from './cipher.ts';
import { saysDamage } from './damage.ts';
import { eachRow, type IndexedPack, indexedPack, indexRowBytes, readIndexFile } from './index-file.ts';
import { indexesFolder, isStoreFile, packHash, packName, packsFolder } from './layout.ts';
import { type PackContents, type PackRow, packKey } from './pack-format.ts';
import { openEntry, readPackContents } from './pack-reader.ts';

export async function checkPacks(
  parts: CheckParts,
  options: CheckOptions,
  findings: CheckFindings,
): Promise<{ packs: number; bytesRead: number }> {
  const check = new PackCheck(parts, options, findings);
  await check.start();
  for await (const { name, packs } of readIndexFiles(parts, findings)) {
    for (const indexed of packs) await check.indexed(name, indexed);
  }
  await check.rest();
  return { packs: check.packs, bytesRead: check.bytesRead };
}

/** The index files, each with what it says; damaged ones become findings. */
async function* readIndexFiles(
  parts: CheckParts,
  findings: CheckFindings,
): AsyncGenerator<{ name: string; packs: IndexedPack[] }> {
  for (const { name } of await parts.backend.list(indexesFolder)) {
    if (!isStoreFile(name)) continue;
    let packs: IndexedPack[];
    try {
      packs = await readIndexFile(parts.backend, parts.keys, name);
    } catch (error) {
      findings.damageFrom(name, error);
      continue;
    }
    yield { name, packs };
  }
}

/** Bytes of a pack that are read at once. */
const readBytesMax = 8 * 1024 * 1024;

class PackCheck {
  bytesRead = 0;
  readonly #parts: CheckParts;
  readonly #options: CheckOptions;
  readonly #findings: CheckFindings;
  /** Packs present, by hash. */
  readonly #present = new Map<string, number>();
  /** Packs looked at, with what is wrong with them as a whole. */
  readonly #seen = new Map<string, CheckFinding | undefined>();
  /** Packs that were read from front to back. */
  readonly #read = new Set<string>();

  constructor(parts: CheckParts, options: CheckOptions, findings: CheckFindings) {
    this.#parts = parts;
    this.#options = options;
    this.#findings = findings;
  }

  get packs(): number {
    return this.#present.size;
  }

  async start(): Promise<void> {
    for (const { name, bytes } of await this.#parts.backend.list(packsFolder)) {
      const hash = packHash(name);
      if (hash !== undefined) this.#present.set(hash, bytes);
    }
  }

  /** Checks a pack that the index file `name` tells of. */
  async indexed(name: string, indexed: IndexedPack): Promise<void> {
    let rows: PackRow[];
    try {
      rows = [...eachRow(indexed, name)];
    } catch (error) {
      this.#findings.damageFrom(name, error);
      return;
    }
    const bytes = this.#present.get(indexed.hash);
    if (bytes !== indexed.bytes) return this.#loseAll(indexed, rows, bytes);
    const contents = await this.#trailer(indexed.hash, bytes);
    if (contents && !contains(contents, indexed)) {
      this.#findings.damage(name, `${name} says of ${packName(indexed.hash)} what its trailer does not`);
    }
    await this.#data(contents ?? { ...indexed, rows }, contents !== undefined);
    this.#report();
  }

  /** Checks the packs that no index file told of. */
  async rest(): Promise<void> {
    let unindexed = 0;
    for (const [hash, bytes] of this.#present) {
      if (this.#seen.has(hash)) continue;
      const contents = await this.#trailer(hash, bytes);
      if (contents) await this.#data(contents, true);
      if (contents?.kind === 'blocks') unindexed++;
      this.#report();
    }
    if (unindexed > 0) {
      const message = `${unindexed} packs of blocks are in no index file: a run was cut off, or one is missing`;
      this.#findings.notice('indexes', message);
    }
  }

  /** Everything in a pack that is gone or has another size counts as lost, unless another pack has it too. */
  #loseAll(indexed: IndexedPack, rows: readonly PackRow[], bytes: number | undefined): void {
    const name = packName(indexed.hash);
    const state = bytes === undefined ? 'is missing' : `has ${bytes} bytes instead of ${indexed.bytes}`;
    const finding = this.#seen.get(indexed.hash) ?? this.#findings.damage(name, `${name} ${state}`);
    this.#seen.set(indexed.hash, finding);
    for (const row of rows) {
      if (this.#parts.catalog.rowOfHeld(row.kind, row.digest) < 0) {
        this.#findings.lose(row.kind, row.digest, finding);
      }
    }
  }

  /** What a pack's own header and trailer say; undefined, and one finding, if they are damaged. */
  async #trailer(hash: string, bytes: number): Promise<PackContents | undefined> {
    checkInterrupted(this.#options.signal);
    const name = packName(hash);
    try {
      const contents = await readPackContents(this.#parts.backend, this.#parts.keys, name, bytes);
      if (!this.#seen.has(hash)) this.#seen.set(hash, undefined);
      return contents;
    } catch (error) {
      if (!this.#seen.get(hash)) this.#seen.set(hash, this.#findings.damageFrom(name, error));
      return undefined;
    }
  }

  /**
   * Reads and verifies every entry, if that is asked for; and, where the rows cover the whole file, its hash.
   *
   * @param isWhole the rows come from the pack's own trailer.
   */
  async #data(contents: PackContents, isWhole: boolean): Promise<void> {
    if (!this.#options.readData || this.#read.has(contents.hash)) return;
    if (isWhole) this.#read.add(contents.hash);
    const name = packName(contents.hash);
    try {
      const { damaged, hash } = await this.#verifyEntries(name, contents);
      if (damaged.length > 0) {
        const message = `${name}: ${damaged.length} of ${contents.rows.length} entries are damaged`;
        const finding = this.#findings.damage(name, message);
        for (const row of damaged) {
          if (this.#isReadFrom(contents.hash, row)) this.#findings.lose(row.kind, row.digest, finding);
        }
      } else if (isWhole && hash !== contents.hash) {
        this.#findings.damage(name, `${name} has other bytes than those it was written with`);
      }
    } catch (error) {
      this.#findings.damageFrom(name, error);
    }
  }

  /** The entries that are damaged, and the SHA-256 of the bytes from front to back. */
  async #verifyEntries(name: string, contents: PackContents): Promise<{ damaged: PackRow[]; hash: string }> {
    const key = packKey(this.#parts.keys, contents.kind, contents.salt);
    const damaged: PackRow[] = [];
    const sum = startChecksum();
    const read = async (offset: number, end: number) => {
      checkInterrupted(this.#options.signal);
      const bytes = await this.#parts.backend.read(name, { offset, length: end - offset });
      this.bytesRead += bytes.byteLength;
      return bytes;
    };
    const verify = async (row: PackRow, stored: Uint8Array) => {
      const opened = openEntry(key, contents.hash, row, stored, this.#parts.digester);
      await opened.catch(() => damaged.push(row));
    };
    let at = 0;
    for (const { rows, start, end } of rowGroups(contents.rows)) {
      try {
        if (start > at) sum.update(await read(at, start));
        const bytes = await read(start, end);
        sum.update(bytes);
        await Promise.all(rows.map((row) => verify(row, partOf(bytes, start, row))));
      } catch (error) {
        if (!saysDamage(error)) throw error;
        for (const row of rows) {
          const { offset, storedBytes } = row;
          await read(offset, offset + storedBytes).then(
            (bytes) => verify(row, bytes),
            () => damaged.push(row),
          );
        }
      }
      at = end;
    }
    if (at < contents.bytes) sum.update(await read(at, contents.bytes));
    return { damaged, hash: sum.digest('hex') };
  }

  /** Whether this is the copy of the entry that readers use. */
  #isReadFrom(hash: string, row: PackRow): boolean {
    const entry = this.#parts.catalog.find(row.kind, row.digest);
    return entry === undefined || (entry.pack.hash === hash && entry.place.offset === row.offset);
  }

  #report(): void {
    this.#options.onProgress?.({ stage: 'packs', done: this.#seen.size, total: this.#present.size });
  }
}

/** Rows that follow one another without a gap, in groups that are read at once, from `start` to `end`. */
function* rowGroups(rows: readonly PackRow[]): Generator<{ rows: PackRow[]; start: number; end: number }> {
  let group: PackRow[] = [];
  let start = 0;
  let end = 0;
  for (const row of rows) {
    if (group.length > 0 && (row.offset !== end || end - start >= readBytesMax)) {
      yield { rows: group, start, end };
      group = [];
    }
    if (group.length === 0) start = row.offset;
    group.push(row);
    end = row.offset + row.storedBytes;
  }
  if (group.length > 0) yield { rows: group, start, end };
}

/** The bytes of one row out of those that begin at `start` of the pack. */
function partOf(bytes: Uint8Array, start: number, row: PackRow): Uint8Array {
  return bytes.subarray(row.offset - start, row.offset - start + row.storedBytes);
}

/** Whether every row that the index file has is in the pack's own trailer. */
function contains(contents: PackContents, indexed: IndexedPack): boolean {
  const own = indexedPack(contents).rows;
  if (own.equals(indexed.rows)) return true;
  const rows = new Set<string>();
  for (let at = 0; at < own.byteLength; at += indexRowBytes) rows.add(own.toString('latin1', at, at + indexRowBytes));
  for (let at = 0; at < indexed.rows.byteLength; at += indexRowBytes) {
    if (!rows.has(indexed.rows.toString('latin1', at, at + indexRowBytes))) return false;
  }
  return true;
}
