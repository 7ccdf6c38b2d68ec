/** The snapshots of a store as a mounted tree shows them: by client, with their names, read afresh about every second. */
import type { Clock } from '../core/clock.ts';
import { limits } from '../core/limits.ts';
import type { SnapshotReader } from '../core/ports.ts';
import type { SnapshotRecord } from '../core/snapshot.ts';
import { byTime, SnapshotNames } from './snapshot-names.ts';

export interface NamedSnapshot {
  name: string;
  record: SnapshotRecord;
}

/** Client name to its snapshots, oldest first; never an empty list. */
export type SnapshotsByClient = ReadonlyMap<string, readonly NamedSnapshot[]>;

export interface SnapshotListOptions {
  clock: Clock;
  /** How long an answer is used again, milliseconds. */
  freshMs: number;
  /** Told when the list cannot be read and an older one is used. */
  onProblem: (error: unknown) => void;
}

export class SnapshotList {
  readonly #reader: SnapshotReader;
  readonly #options: SnapshotListOptions;
  readonly #names = new SnapshotNames();
  #current: SnapshotsByClient | undefined;
  #readAtMs = Number.NEGATIVE_INFINITY;
  #reading: Promise<SnapshotsByClient> | undefined;

  constructor(reader: SnapshotReader, options: SnapshotListOptions) {
    this.#reader = reader;
    this.#options = options;
  }

  /** The list, at most `freshMs` old unless the store cannot be read. @throws what the first reading throws. */
  async current(): Promise<SnapshotsByClient> {
    const { clock, freshMs } = this.#options;
    if (this.#current !== undefined && clock.monotonicMs() - this.#readAtMs < freshMs) return this.#current;
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #read(): Promise<SnapshotsByClient> {
    try {
      const records = (await this.#reader.listSnapshots()).filter((record) => isName(record.client));
      this.#names.add(records);
      this.#current = groupByClient(records, this.#names);
    } catch (error) {
      if (this.#current === undefined) throw error;
      this.#options.onProblem(error);
    }
    this.#readAtMs = this.#options.clock.monotonicMs();
    return this.#current;
  }
}

/** Groups records by client, oldest first. @param names has been given all the records. */
export function groupByClient(records: readonly SnapshotRecord[], names: SnapshotNames): SnapshotsByClient {
  const byClient = new Map<string, NamedSnapshot[]>();
  for (const record of [...records].sort(byTime)) {
    const named = { name: names.nameOf(record), record };
    const ofClient = byClient.get(record.client);
    if (ofClient === undefined) byClient.set(record.client, [named]);
    else ofClient.push(named);
  }
  return byClient;
}

/** Whether a client's name can be a directory's name; a record with another one is left out of the tree. */
function isName(client: string): boolean {
  const bytes = Buffer.byteLength(client);
  if (bytes === 0 || bytes > limits.nameBytesMax || client === '.' || client === '..') return false;
  return !client.includes('/') && !client.includes('\0');
}
