/** A store: opened with its password, read, written to, checked. */
import { type Clock, randomBytesOf, systemClock } from '../core/clock.ts';
import { createDigester, type Digest, type Digester, digestHex, digestsEqual } from '../core/digest.ts';
import type { Domain } from '../core/domain.ts';
import { CovaultError } from '../core/errors.ts';
import type { ObjectKind, SnapshotReader } from '../core/ports.ts';
import type { SnapshotRecord } from '../core/snapshot.ts';
import type { Backend } from './backend.ts';
import { Catalog } from './catalog.ts';
import { checkStore } from './check.ts';
import type { CheckOptions } from './check-parts.ts';
import type { CheckReport } from './check-report.ts';
import { openConfig, writeConfig } from './config.ts';
import type { StoreNotice } from './damage.ts';
import { EntryReader } from './entry-reader.ts';
import { storeIdBytes } from './file-header.ts';
import { addKeySlot } from './key-ring.ts';
import { type KdfParameters, kdfFor } from './key-slot.ts';
import { deriveStoreKeys, masterKeyBytes, type StoreKeys } from './keys.ts';
import { configName, keysFolder } from './layout.ts';
import { type RebuildReport, rebuildIndexFiles } from './rebuild.ts';
import { SnapshotList } from './snapshots.ts';
import { type UnlockedStore, unlockStore } from './unlock.ts';
import { type SnapshotWriter, StoreWriter } from './writer.ts';

export interface OpenOptions {
  backend: Backend;
  password: string | Uint8Array;
  /** Bytes of decoded blocks and objects kept in memory; 64 MiB if not given. */
  cacheBytes?: number;
  /** Bytes from which a pack is full; 16 MiB if not given. */
  packBytes?: number;
  clock?: Clock;
  signal?: AbortSignal;
}

export interface CreateOptions extends OpenOptions {
  domain: Domain;
  /** Cost of deriving a key from the password. */
  kdf?: KdfParameters;
}

export interface StoreStatistics {
  location: string;
  snapshots: number;
  packs: number;
  indexFiles: number;
  blocks: number;
  /** Trees and recipes. */
  objects: number;
  /** Bytes of the blocks before compression. */
  blockBytes: number;
  /** Bytes of all files of the store. */
  storedBytes: number;
  freeBytes: number;
}

const defaultCacheBytes = 64 * 1024 * 1024;

/**
 * 16 MiB: few enough files for any file system, and no more than this is pulled again after a crash; what reads
 * whole packs does so at the full speed of a disk from about 4 MiB on.
 */
const defaultPackBytes = 16 * 1024 * 1024;

/** Something that is not found may have come meanwhile, by another process: looked for at most this often. */
const refreshIntervalMs = 1000;

/**
 * Makes a new store and opens it.
 *
 * @throws CovaultError `E_EXISTS` if there is a store already, or anything else; `E_BAD_INPUT` for an empty password.
 */
export async function createStore(options: CreateOptions): Promise<Store> {
  const { backend, domain, password } = options;
  const files = await backend.list('');
  if (files.some(({ name }) => name === configName)) {
    throw new CovaultError('E_EXISTS', `${backend.location} is a store already`);
  }
  // Keys without a config were left by an attempt that was cut off; they belong to no store.
  const foreign = files.find(({ name }) => !name.startsWith(keysFolder));
  if (foreign) {
    throw new CovaultError('E_EXISTS', `${backend.location} is not empty: it has ${foreign.name}`, {
      hint: 'choose an empty or new directory for the store',
    });
  }
  const master = randomBytesOf(masterKeyBytes);
  const keys = deriveStoreKeys(master, randomBytesOf(storeIdBytes));
  await addKeySlot(backend, keys.storeId, master, password, options.kdf ?? kdfFor(password));
  await writeConfig(backend, keys, domain);
  return openStore(options);
}

/**
 * Opens a store. Only reads: what index files lack is read from the packs, and `notices` names what is damaged.
 *
 * @throws CovaultError `E_NOT_FOUND` if there is none, `E_AUTH` for a wrong password, `E_CORRUPT` if its config or all
 *   its keys are damaged, `E_VERSION`, `E_IO`.
 */
export async function openStore(options: OpenOptions): Promise<Store> {
  return openUnlockedStore(options, await unlockStore(options.backend, options.password));
}

/** The same with a key that is there already. */
export async function openUnlockedStore(
  options: Omit<OpenOptions, 'password'>,
  { config, storeId, master }: UnlockedStore,
): Promise<Store> {
  const keys = deriveStoreKeys(master, storeId);
  const store = new Store(options, master, keys, openConfig(config, keys));
  await store.refresh();
  return store;
}

/** Owns the index in memory and a cache. Any number of readers and writers may be at work at once. */
export class Store implements SnapshotReader {
  readonly domain: Domain;
  readonly #backend: Backend;
  readonly #master: Uint8Array;
  readonly #keys: StoreKeys;
  readonly #digester: Digester;
  readonly #clock: Clock;
  readonly #cacheBytes: number;
  readonly #packBytes: number;
  readonly #snapshots: SnapshotList;
  #catalog: Catalog;
  #reader: EntryReader;
  #refreshedMs = Number.NEGATIVE_INFINITY;

  constructor(options: Omit<OpenOptions, 'password'>, master: Uint8Array, keys: StoreKeys, domain: Domain) {
    this.domain = domain;
    this.#backend = options.backend;
    this.#master = master;
    this.#keys = keys;
    this.#digester = createDigester(domain.digestKey);
    this.#clock = options.clock ?? systemClock;
    this.#cacheBytes = options.cacheBytes ?? defaultCacheBytes;
    this.#packBytes = options.packBytes ?? defaultPackBytes;
    this.#snapshots = new SnapshotList(options.backend, keys);
    this.#catalog = new Catalog(options.backend, keys);
    this.#reader = this.#makeReader(this.#catalog);
  }

  /** The id of the store: 32 hexadecimal digits. */
  get id(): string {
    return Buffer.from(this.#keys.storeId).toString('hex');
  }

  /** What was found damaged or missing while opening, listing and reading the index. */
  get notices(): StoreNotice[] {
    return [...this.#catalog.notices, ...this.#snapshots.notices];
  }

  /** Takes note of what other processes wrote meanwhile. */
  async refresh(): Promise<void> {
    await this.#catalog.refresh();
    this.#refreshedMs = this.#clock.monotonicMs();
  }

  listSnapshots(): Promise<SnapshotRecord[]> {
    return this.#snapshots.read();
  }

  hasBlock(digest: Digest): boolean {
    return this.#catalog.rowOfHeld('block', digest) >= 0;
  }

  async readBlock(digest: Digest): Promise<Uint8Array | undefined> {
    let bytes = await this.#reader.read('block', digest);
    if (!bytes && (await this.#refreshIfStale())) bytes = await this.#reader.read('block', digest);
    return bytes && new Uint8Array(bytes);
  }

  async readObject(kind: ObjectKind, digest: Digest): Promise<Uint8Array> {
    let bytes = await this.#reader.read(kind, digest);
    if (!bytes && (await this.#refreshIfStale())) bytes = await this.#reader.read(kind, digest);
    if (!bytes) throw new CovaultError('E_NOT_FOUND', `the store has no ${kind} ${digestHex(digest)}`);
    return new Uint8Array(bytes);
  }

  /**
   * Brings blocks into the cache, as many as fit into half of it, reading packs from front to back. Failures are left
   * to `readBlock`.
   */
  prefetch(digests: readonly Digest[], options: { signal?: AbortSignal } = {}): Promise<void> {
    return this.#reader.prefetch('block', digests, options);
  }

  /** Grows with the pack and the offset at which a block stands; undefined if it is not held. */
  readOrder(digest: Digest): number | undefined {
    const place = this.#catalog.find('block', digest)?.place;
    return place && place.pack * 2 ** 32 + place.offset;
  }

  /**
   * Starts a snapshot.
   *
   * @param options.domain the domain in which the snapshot's digests were made.
   * @throws CovaultError `E_BAD_INPUT` if that is not the domain of this store.
   */
  async openWriter(options: { domain?: Domain } = {}): Promise<SnapshotWriter> {
    const { domain = this.domain } = options;
    if (domain.id !== this.domain.id || !digestsEqual(domain.digestKey, this.domain.digestKey)) {
      throw new CovaultError('E_BAD_INPUT', `the store in ${this.#backend.location} belongs to another domain`, {
        hint: 'use a store of this domain, or a new directory',
      });
    }
    await this.#backend.removeLeftovers();
    await this.refresh();
    return this.#makeWriter();
  }

  /**
   * What a writer would find here: objects whose snapshot was never sealed do not count. Nothing is written, not even
   * what dead writers left behind is taken away.
   */
  held(): Pick<SnapshotWriter, 'hasBlock' | 'hasObject' | 'readObject'> {
    return this.#makeWriter();
  }

  /** Looks for damage; everything found is in the report, nothing is thrown for it. Changes nothing. */
  check(options: CheckOptions = {}): Promise<CheckReport> {
    const catalog = new Catalog(this.#backend, this.#keys);
    const parts = { backend: this.#backend, keys: this.#keys, digester: this.#digester, catalog };
    return checkStore({ ...parts, reader: this.#makeReader(catalog) }, options);
  }

  /** Makes the index files anew from the packs: for when some are damaged or missing. */
  async rebuildIndex(options: { signal?: AbortSignal } = {}): Promise<RebuildReport> {
    const { catalog, report } = await rebuildIndexFiles({
      backend: this.#backend,
      keys: this.#keys,
      snapshots: await this.listSnapshots(),
      makeReader: (fresh) => this.#makeReader(fresh),
      ...options,
    });
    this.#catalog = catalog;
    this.#reader = this.#makeReader(catalog);
    return report;
  }

  async statistics(): Promise<StoreStatistics> {
    await this.refresh();
    const { tables, packs, indexFiles } = this.#catalog;
    const files = await this.#backend.list('');
    let blockBytes = 0;
    for (let row = 0; row < tables.block.size; row++) blockBytes += tables.block.place(row).rawBytes;
    return {
      location: this.#backend.location,
      snapshots: (await this.listSnapshots()).length,
      packs: packs.length,
      indexFiles: indexFiles.size,
      blocks: tables.block.size,
      objects: tables.tree.size + tables.recipe.size,
      blockBytes,
      storedBytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
      freeBytes: await this.#backend.freeBytes(),
    };
  }

  /** Lets a further password open the store. */
  async addPassword(password: string | Uint8Array, kdf: KdfParameters = kdfFor(password)): Promise<void> {
    await addKeySlot(this.#backend, this.#keys.storeId, this.#master, password, kdf);
  }

  /** Lets go of the master key, the index and the cache, when nothing is under way any more. Idempotent. */
  async close(): Promise<void> {
    this.#master.fill(0);
    this.#catalog = new Catalog(this.#backend, this.#keys);
    this.#reader = this.#makeReader(this.#catalog);
  }

  /** Looks once for what others wrote, unless that was done just now. */
  async #refreshIfStale(): Promise<boolean> {
    if (this.#clock.monotonicMs() - this.#refreshedMs < refreshIntervalMs) return false;
    await this.refresh();
    return true;
  }

  #makeWriter(): StoreWriter {
    return new StoreWriter({
      backend: this.#backend,
      keys: this.#keys,
      catalog: this.#catalog,
      reader: this.#reader,
      digester: this.#digester,
      packBytes: this.#packBytes,
    });
  }

  #makeReader(catalog: Catalog): EntryReader {
    return new EntryReader(this.#backend, catalog, this.#digester, this.#cacheBytes);
  }
}
