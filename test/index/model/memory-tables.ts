/** The index's tables in memory: the same promises as in LMDB, and what was committed can be taken at any time. */
import type { MultiTable, RangeOptions, Table, Tables, View } from '../../../src/index/tables.ts';
import { tableNames } from '../../../src/index/tables.ts';

interface Row {
  key: Buffer;
  value: Buffer;
}

/** All rows of all tables, in order of key, then value. Lists are never changed once they are here. */
export type Committed = ReadonlyMap<string, readonly Row[]>;

const multiTables = new Set(['links', 'recipeHolders', 'blocks']);

export class MemoryTables {
  #rows: Map<string, readonly Row[]>;
  /** Called after each commit. */
  onCommit: () => void = () => undefined;

  constructor(from?: Committed) {
    this.#rows = new Map(tableNames.map((name) => [name, from?.get(name) ?? []]));
  }

  get committed(): Committed {
    return new Map(this.#rows);
  }

  get tables(): Tables {
    const each = tableNames.map((name) => [name, multiTables.has(name) ? this.#multiTable(name) : this.#table(name)]);
    return {
      ...Object.fromEntries(each),
      transaction: async <T>(work: () => T): Promise<T> => {
        const before = this.committed;
        try {
          const result = work();
          this.onCommit();
          return result;
        } catch (error) {
          this.#rows = new Map(before);
          throw error;
        }
      },
      openView: () => this.committed as unknown as View,
      flushed: async () => undefined,
      close: async () => undefined,
    } as Tables;
  }

  #of(name: string, view: View | undefined): readonly Row[] {
    return (view ? (view as unknown as Committed) : this.#rows).get(name) ?? [];
  }

  #put(name: string, key: Uint8Array, value: Uint8Array, isMultiple: boolean): void {
    const row = { key: Buffer.from(key), value: Buffer.from(value) };
    const rows = [...this.#of(name, undefined)];
    let at = firstFrom(rows, row.key);
    const isSmaller = (each: Row | undefined) => each?.key.equals(row.key) && Buffer.compare(each.value, row.value) < 0;
    while (isMultiple && isSmaller(rows[at])) at++;
    const there = rows[at];
    const isThere = there?.key.equals(row.key) && (!isMultiple || there.value.equals(row.value));
    rows.splice(at, isThere ? 1 : 0, row);
    this.#rows.set(name, rows);
  }

  #remove(name: string, key: Uint8Array, value: Uint8Array | undefined): void {
    const gone = this.#withKey(name, key, undefined).filter((row) => value === undefined || row.value.equals(value));
    if (gone.length > 0)
      this.#rows.set(
        name,
        this.#of(name, undefined).filter((row) => !gone.includes(row)),
      );
  }

  #range(name: string, { start, end, limit = Number.POSITIVE_INFINITY, view }: RangeOptions): Row[] {
    const rows = this.#of(name, view);
    const from = start ? firstFrom(rows, start) : 0;
    return rows.slice(from, Math.min(end ? firstFrom(rows, end) : rows.length, from + limit));
  }

  #withKey(name: string, key: Uint8Array, view: View | undefined): Row[] {
    const rows = this.#of(name, view);
    const found: Row[] = [];
    for (let at = firstFrom(rows, key); rows[at]?.key.equals(key); at++) found.push(rows[at] as Row);
    return found;
  }

  #table(name: string): Table {
    return {
      get: (key, view) => this.#withKey(name, key, view)[0]?.value,
      has: (key) => this.#withKey(name, key, undefined).length > 0,
      put: (key, value) => this.#put(name, key, value, false),
      remove: (key) => this.#remove(name, key, undefined),
      range: (options) => this.#range(name, options),
      keys: (options) => this.#range(name, options).map(({ key }) => key),
      count: () => this.#of(name, undefined).length,
    };
  }

  #multiTable(name: string): MultiTable {
    const values = (key: Uint8Array, view?: View) => this.#withKey(name, key, view).map(({ value }) => value);
    return {
      first: (key) => values(key)[0],
      values,
      has: (key) => values(key).length > 0,
      put: (key, value) => this.#put(name, key, value, true),
      remove: (key, value) => this.#remove(name, key, value),
      keys: (options) => this.#range(name, options).map(({ key }) => key),
      count: () => this.#of(name, undefined).length,
    };
  }
}

/** Position of the first row whose key is not before `key`. */
function firstFrom(rows: readonly Row[], key: Uint8Array): number {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (Buffer.compare((rows[middle] as Row).key, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
