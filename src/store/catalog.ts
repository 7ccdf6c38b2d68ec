/**
 * What is known of a store's packs and of where their entries are: loaded from the index files, and from the packs
 * themselves where no index file tells. It only reads; opening a store for reading changes nothing in it.
 */
import type { Digest } from '../core/digest.ts';
import { CovaultError, isCovaultError } from '../core/errors.ts';
import type { Backend, BackendFile } from './backend.ts';
import { type StoreNotice, saysDamage } from './damage.ts';
import { EntryTable, type Place } from './entry-table.ts';
import { eachRow, type IndexedPack, indexedPack, readIndexFile, rowCount } from './index-file.ts';
import type { StoreKeys } from './keys.ts';
import { indexesFolder, packHash, packName, packsFolder } from './layout.ts';
import { type EntryKind, type PackContents, type PackKind, type PackRow, packKey } from './pack-format.ts';
import { readPackContents } from './pack-reader.ts';

export interface Pack {
  readonly number: number;
  readonly hash: string;
  readonly kind: PackKind;
  readonly salt: Uint8Array;
  readonly bytes: number;
  /** Derived at first use: most packs are never read. */
  readonly key: Uint8Array;
  /** Missing, or of another size than it must have: what it holds counts as lost, though reading is still tried. */
  lost: boolean;
}

export interface Entry {
  kind: EntryKind;
  digest: Digest;
  row: number;
  place: Place;
  pack: Pack;
}

/** How often a list of index files is read again when one vanished before it was read (it was merged meanwhile). */
const listAttemptsMax = 5;

/** Packs whose trailers are read at once. */
const adoptionsAtOnce = 8;

export class Catalog {
  readonly #backend: Backend;
  readonly #keys: StoreKeys;
  readonly tables: Readonly<Record<EntryKind, EntryTable>> = {
    block: new EntryTable(),
    tree: new EntryTable(),
    recipe: new EntryTable(),
  };
  readonly #packs: Pack[] = [];
  readonly #byHash = new Map<string, Pack>();
  /** Index files read so far, with the number of their rows. */
  readonly indexFiles = new Map<string, number>();
  /** Files that turned out damaged, so that they are neither read nor reported again. */
  readonly #damaged = new Map<string, StoreNotice>();
  /** Packs of blocks that no index file tells of; whoever writes next indexes them. */
  #unindexed: IndexedPack[] = [];
  #lostPacks = 0;
  #refreshing: Promise<void> = Promise.resolve();

  constructor(backend: Backend, keys: StoreKeys) {
    this.#backend = backend;
    this.#keys = keys;
  }

  get packs(): readonly Pack[] {
    return this.#packs;
  }

  get notices(): StoreNotice[] {
    return [...this.#damaged.values()];
  }

  /** Whether anything is lost or unreadable: then no object counts as complete, so that what is lost is found again. */
  get doubtful(): boolean {
    return this.#damaged.size > 0;
  }

  /** Where an entry is, if anything is known of it. */
  find(kind: EntryKind, digest: Digest): Entry | undefined {
    const row = this.tables[kind].find(digest);
    return row < 0 ? undefined : this.entry(kind, row);
  }

  entry(kind: EntryKind, row: number): Entry {
    const place = this.tables[kind].place(row);
    return { kind, digest: this.tables[kind].digest(row), row, place, pack: this.pack(place.pack) };
  }

  pack(number: number): Pack {
    const pack = this.#packs[number];
    if (!pack) throw new Error(`no pack of number ${number}`);
    return pack;
  }

  packByHash(hash: string): Pack | undefined {
    return this.#byHash.get(hash);
  }

  /** Number of the row of an entry that is in the store and not lost, or -1. */
  rowOfHeld(kind: EntryKind, digest: Digest): number {
    const table = this.tables[kind];
    const row = table.find(digest);
    return row >= 0 && this.pack(table.packOf(row)).lost ? -1 : row;
  }

  /** Takes in a pack that was just written. */
  addWritten(contents: PackContents): Pack {
    const pack = this.#addPack(contents);
    for (const row of contents.rows) this.#addRow(pack, row, contents.kind === 'blocks');
    return pack;
  }

  /** Packs of blocks that no index file tells of; the caller is now the one who indexes them. */
  takeUnindexed(): IndexedPack[] {
    const taken = this.#unindexed;
    this.#unindexed = [];
    return taken;
  }

  /** Brings this level with the backend: new index files, new packs, packs that are gone. */
  refresh(): Promise<void> {
    const done = this.#refreshing.then(() => this.#refresh());
    this.#refreshing = done.catch(() => undefined);
    return done;
  }

  async #refresh(): Promise<void> {
    await this.#readIndexFiles();
    // Packs are listed after the index files: a pack is written before any index file that tells of it.
    const present = await this.#backend.list(packsFolder);
    const lostBefore = this.#lostPacks;
    this.#judgePacks(new Map(present.map(({ name, bytes }) => [name, bytes])));
    await this.adopt(present);
    if (this.#lostPacks > lostBefore) await this.#findOtherCopies();
  }

  /** Reads the trailers of those packs among `files` of which nothing is known yet. */
  async adopt(files: readonly BackendFile[]): Promise<void> {
    const unknown = files.filter(({ name }) => {
      const hash = packHash(name);
      return hash !== undefined && !this.#byHash.has(hash) && !this.#damaged.has(name);
    });
    for (let at = 0; at < unknown.length; at += adoptionsAtOnce) {
      const some = unknown.slice(at, at + adoptionsAtOnce);
      await Promise.all(some.map(({ name, bytes }) => this.#adopt(name, bytes)));
    }
  }

  async #readIndexFiles(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      let vanished: unknown;
      for (const { name } of await this.#backend.list(indexesFolder)) {
        if (this.indexFiles.has(name) || this.#damaged.has(name)) continue;
        try {
          this.#apply(name, await readIndexFile(this.#backend, this.#keys, name));
        } catch (error) {
          if (isCovaultError(error, 'E_NOT_FOUND')) vanished = error;
          else if (isCovaultError(error, 'E_CORRUPT') || isCovaultError(error, 'E_IO')) this.#noteDamage(name, error);
          else throw error;
        }
      }
      if (vanished === undefined) return;
      if (attempt === listAttemptsMax) throw vanished;
    }
  }

  #apply(name: string, packs: readonly IndexedPack[]): void {
    const blockPacks = packs.filter(({ kind }) => kind === 'blocks');
    this.tables.block.reserve(sumOfRows(blockPacks));
    for (const indexed of packs) {
      const pack = this.#addPack(indexed);
      for (const row of eachRow(indexed, name)) this.#addRow(pack, row, true);
    }
    this.indexFiles.set(name, sumOfRows(packs));
  }

  /** Reads what no index file told. Objects found so are not known to be complete. */
  async #adopt(name: string, bytes: number): Promise<void> {
    try {
      const contents = await readPackContents(this.#backend, this.#keys, name, bytes);
      if (this.#byHash.has(contents.hash)) return;
      this.addWritten(contents);
      if (contents.kind === 'blocks') this.#unindexed.push(indexedPack(contents));
    } catch (error) {
      if (saysDamage(error)) this.#noteDamage(name, error);
      else if (!isCovaultError(error, 'E_NOT_FOUND')) throw error;
    }
  }

  /**
   * Takes in what an index file says of a pack whose own trailer cannot be read. Objects found so are not known to be
   * complete.
   */
  adoptIndexed(indexed: IndexedPack, indexFile: string): void {
    if (this.#byHash.has(indexed.hash)) return;
    const pack = this.#addPack(indexed);
    for (const row of eachRow(indexed, indexFile)) this.#addRow(pack, row, indexed.kind === 'blocks');
    if (indexed.kind === 'blocks') this.#unindexed.push(indexed);
  }

  #judgePacks(present: ReadonlyMap<string, number>): void {
    this.#lostPacks = 0;
    for (const pack of this.#packs) {
      const name = packName(pack.hash);
      const bytes = present.get(name);
      pack.lost = bytes !== pack.bytes;
      if (!pack.lost) {
        this.#damaged.delete(name);
        continue;
      }
      this.#lostPacks++;
      const message = bytes === undefined ? 'is missing' : `has ${bytes} bytes instead of ${pack.bytes}`;
      this.#noteDamage(name, new CovaultError('E_CORRUPT', `${name} ${message}`));
    }
  }

  /** Lets entries of lost packs be read from other packs that have them too. */
  async #findOtherCopies(): Promise<void> {
    for (const name of this.indexFiles.keys()) {
      const packs = await readIndexFile(this.#backend, this.#keys, name).catch(() => []);
      for (const indexed of packs) {
        const pack = this.#byHash.get(indexed.hash);
        if (pack && !pack.lost) for (const row of eachRow(indexed, name)) this.#addRow(pack, row, true);
      }
    }
  }

  #addPack(of: Omit<PackContents, 'rows'>): Pack {
    const known = this.#byHash.get(of.hash);
    if (known) return known;
    const { hash, kind, bytes, salt } = of;
    const keys = this.#keys;
    let key: Uint8Array | undefined;
    const pack: Pack = {
      number: this.#packs.length,
      hash,
      kind,
      salt,
      bytes,
      lost: false,
      get key() {
        key ??= packKey(keys, kind, salt);
        return key;
      },
    };
    this.#packs.push(pack);
    this.#byHash.set(hash, pack);
    return pack;
  }

  #addRow(pack: Pack, row: PackRow, complete: boolean): void {
    const table = this.tables[row.kind];
    const { offset, storedBytes, rawBytes, compressed } = row;
    const place: Place = { pack: pack.number, offset, storedBytes, rawBytes, compressed, complete };
    const size = table.size;
    const known = table.add(row.digest, place);
    if (table.size > size) return;
    if (!pack.lost && this.pack(table.packOf(known)).lost) {
      table.replace(known, place);
    } else if (complete) {
      table.setComplete(known);
    }
  }

  #noteDamage(file: string, error: Error): void {
    this.#damaged.set(file, { file, message: error.message });
  }
}

function sumOfRows(packs: readonly IndexedPack[]): number {
  return packs.reduce((sum, pack) => sum + rowCount(pack), 0);
}
