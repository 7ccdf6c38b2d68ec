/** The sealed records of a store's snapshots. */
import { isCovaultError } from '../core/errors.ts';
import { decodeSnapshotRecord, type SnapshotRecord } from '../core/snapshot.ts';
import type { Backend } from './backend.ts';
import type { StoreNotice } from './damage.ts';
import { saysDamage } from './damage.ts';
import type { StoreKeys } from './keys.ts';
import { isStoreFile, snapshotsFolder } from './layout.ts';
import { openSealedFile } from './sealed-file.ts';

export class SnapshotList {
  readonly #backend: Backend;
  readonly #keys: StoreKeys;
  /** Records never change: each is read once. */
  readonly #known = new Map<string, SnapshotRecord>();
  readonly #damaged = new Map<string, StoreNotice>();

  constructor(backend: Backend, keys: StoreKeys) {
    this.#backend = backend;
    this.#keys = keys;
  }

  /** Records that could not be read when the list was read last. */
  get notices(): StoreNotice[] {
    return [...this.#damaged.values()];
  }

  /** All records there are now, oldest first. A damaged one is left out and named in `notices`. */
  async read(): Promise<SnapshotRecord[]> {
    const records: SnapshotRecord[] = [];
    this.#damaged.clear();
    for (const { name } of await this.#backend.list(snapshotsFolder)) {
      if (!isStoreFile(name)) continue;
      try {
        const record = this.#known.get(name) ?? (await this.#readOne(name));
        this.#known.set(name, record);
        records.push(record);
      } catch (error) {
        if (isCovaultError(error, 'E_NOT_FOUND')) continue;
        if (!saysDamage(error)) throw error;
        this.#damaged.set(name, { file: name, message: error.message });
      }
    }
    return records.sort((a, b) => (a.timeNs === b.timeNs ? (a.id < b.id ? -1 : 1) : a.timeNs < b.timeNs ? -1 : 1));
  }

  async #readOne(name: string): Promise<SnapshotRecord> {
    const bytes = await this.#backend.read(name);
    return decodeSnapshotRecord(openSealedFile('snapshot', name, this.#keys, bytes, name));
  }
}
