/** The part of a check that looks at packs: against the index files, their own trailers, and all of their bytes. */
import { checkInterrupted } from '../core/errors.ts';
import type { CheckOptions, CheckParts } from './check-parts.ts';
import type { CheckFinding, CheckFindings } from './check-report.ts';
import { startChecksum } from './cipher.ts';
import { eachRow, type IndexedPack, indexedPack, readIndexFile } from './index-file.ts';
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

/** Bytes of a pack that are hashed at once. */
const hashBytes = 8 * 1024 * 1024;

class PackCheck {
  bytesRead = 0;
  readonly #parts: CheckParts;
  readonly #options: CheckOptions;
  readonly #findings: CheckFindings;
  /** Packs present, by hash. */
  readonly #present = new Map<string, number>();
  /** Packs looked at, with the finding if there was one. */
  readonly #done = new Map<string, CheckFinding | undefined>();

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
    const rows = [...eachRow(indexed, name)];
    const bytes = this.#present.get(indexed.hash);
    if (bytes === undefined || bytes !== indexed.bytes) {
      this.#loseAll(indexed, rows, bytes);
      return;
    }
    const contents = await this.#look(indexed.hash, bytes, { ...indexed, rows });
    if (contents && !contains(contents, indexed)) {
      this.#findings.damage(name, `${name} says of ${packName(indexed.hash)} what its trailer does not`);
    }
  }

  /** Checks the packs that no index file told of. */
  async rest(): Promise<void> {
    let unindexed = 0;
    for (const [hash, bytes] of this.#present) {
      if (this.#done.has(hash)) continue;
      const contents = await this.#look(hash, bytes, undefined);
      if (contents?.kind === 'blocks') unindexed++;
    }
    if (unindexed > 0) {
      this.#findings.notice('indexes', `${unindexed} packs are in no index file: one is missing, or a run was cut off`);
    }
  }

  /** Everything in a pack that is gone or has another size counts as lost, unless another pack has it too. */
  #loseAll(indexed: IndexedPack, rows: readonly PackRow[], bytes: number | undefined): void {
    const name = packName(indexed.hash);
    const state = bytes === undefined ? 'is missing' : `has ${bytes} bytes instead of ${indexed.bytes}`;
    const finding = this.#done.get(indexed.hash) ?? this.#findings.damage(name, `${name} ${state}`);
    this.#done.set(indexed.hash, finding);
    for (const row of rows) {
      if (this.#parts.catalog.rowOfHeld(row.kind, row.digest) < 0) {
        this.#findings.lose(row.kind, row.digest, finding);
      }
    }
  }

  /**
   * Checks a pack's header and trailer, and all of its bytes if that is asked for; once.
   *
   * @param known what an index file says of it.
   * @returns what its own trailer says, if that can be read.
   */
  async #look(hash: string, bytes: number, known: PackContents | undefined): Promise<PackContents | undefined> {
    checkInterrupted(this.#options.signal);
    const name = packName(hash);
    let contents: PackContents | undefined;
    try {
      contents = await readPackContents(this.#parts.backend, this.#parts.keys, name, bytes);
    } catch (error) {
      if (!this.#done.get(hash)) this.#done.set(hash, this.#findings.damageFrom(name, error));
    }
    const first = !this.#done.has(hash) || (contents === undefined && known !== undefined);
    if (!this.#done.has(hash)) this.#done.set(hash, undefined);
    const trusted = contents ?? known;
    if (first && trusted && this.#options.readData) await this.#readAll(name, trusted);
    if (first) this.#report();
    return contents;
  }

  /** Reads and verifies the file's hash and every entry. */
  async #readAll(name: string, contents: PackContents): Promise<void> {
    const { backend, keys, digester } = this.#parts;
    const key = packKey(keys, contents.kind, contents.salt);
    const damaged: PackRow[] = [];
    try {
      await this.#checkHash(name, contents);
      for (const row of contents.rows) {
        checkInterrupted(this.#options.signal);
        const stored = await backend.read(name, { offset: row.offset, length: row.storedBytes });
        try {
          await openEntry(key, contents.hash, row, stored, digester);
        } catch {
          damaged.push(row);
        }
      }
    } catch (error) {
      this.#done.set(contents.hash, this.#done.get(contents.hash) ?? this.#findings.damageFrom(name, error));
    }
    if (damaged.length === 0) return;
    const message = `${name}: ${damaged.length} of ${contents.rows.length} entries are damaged`;
    const finding = this.#findings.damage(name, message);
    for (const row of damaged)
      if (this.#isReadFrom(contents.hash, row)) this.#findings.lose(row.kind, row.digest, finding);
  }

  async #checkHash(name: string, contents: PackContents): Promise<void> {
    const sum = startChecksum();
    for (let offset = 0; offset < contents.bytes; offset += hashBytes) {
      checkInterrupted(this.#options.signal);
      const length = Math.min(hashBytes, contents.bytes - offset);
      const bytes = await this.#parts.backend.read(name, { offset, length });
      this.bytesRead += length;
      sum.update(bytes);
    }
    if (sum.digest('hex') === contents.hash || this.#done.get(contents.hash)) return;
    const message = `${name} has other bytes than those it was written with`;
    this.#done.set(contents.hash, this.#findings.damage(name, message));
  }

  /** Whether this is the copy of the entry that readers use. */
  #isReadFrom(hash: string, row: PackRow): boolean {
    const entry = this.#parts.catalog.find(row.kind, row.digest);
    return entry === undefined || (entry.pack.hash === hash && entry.place.offset === row.offset);
  }

  #report(): void {
    this.#options.onProgress?.({ stage: 'packs', done: this.#done.size, total: this.#present.size });
  }
}

/** Whether every row that the index file has is in the pack's own trailer. */
function contains(contents: PackContents, indexed: IndexedPack): boolean {
  const own = indexedPack(contents).rows;
  if (own.equals(indexed.rows)) return true;
  const rows = new Set<string>();
  const rowBytes = own.byteLength / Math.max(contents.rows.length, 1);
  for (let at = 0; at < own.byteLength; at += rowBytes) rows.add(own.toString('latin1', at, at + rowBytes));
  for (let at = 0; at < indexed.rows.byteLength; at += rowBytes) {
    if (!rows.has(indexed.rows.toString('latin1', at, at + rowBytes))) return false;
  }
  return true;
}
