/**
 * The index's tables in LMDB. The only import of `lmdb` in this stage.
 *
 * One environment, one writer (the index's loop). Reads outside a transaction see the last commit; within one they see
 * its writes; with a `View` they see one moment for as long as it is open. Bytes that a read gives belong to the caller.
 *
 * Durability: a commit is visible at once and reaches the disk soon after, in order (LMDB's overlapping sync, an
 * addition of lmdb-js). A killed process loses nothing that was committed; a power cut loses at most the newest
 * commits, never their order, if the tables are then opened with `hasLostPower`. `flushed` waits for the disk.
 */
import { join } from 'node:path';
import { type Database, open, type RootDatabase, type Transaction } from 'lmdb';
import { CovaultError } from '../core/errors.ts';
import { asBuffer } from './layout.ts';

/** One moment of all tables; see `Tables.openView`. */
export type View = Transaction;

export interface RangeOptions {
  start?: Uint8Array;
  /** Not in the range. */
  end?: Uint8Array | undefined;
  limit?: number;
  view?: View | undefined;
}

/** Keys in ascending byte order, one value each. */
export interface Table {
  get(key: Uint8Array, view?: View): Buffer | undefined;
  has(key: Uint8Array): boolean;
  /** Within a transaction only. */
  put(key: Uint8Array, value: Uint8Array): void;
  /** Within a transaction only. Nothing happens if there is no such key. */
  remove(key: Uint8Array): void;
  range(options: RangeOptions): Iterable<{ key: Buffer; value: Buffer }>;
  keys(options: RangeOptions): Iterable<Buffer>;
  count(): number;
}

/** Several values for a key, each once, in ascending byte order. */
export interface MultiTable {
  first(key: Uint8Array): Buffer | undefined;
  values(key: Uint8Array, view?: View): Iterable<Buffer>;
  has(key: Uint8Array): boolean;
  put(key: Uint8Array, value: Uint8Array): void;
  remove(key: Uint8Array, value: Uint8Array): void;
  /** Every key once. */
  keys(options: RangeOptions): Iterable<Buffer>;
  count(): number;
}

export interface Tables {
  /** Inode to what is known of it. */
  inodes: Table;
  /** Place to inode. */
  names: Table;
  /** Inode to its places. */
  links: MultiTable;
  /** Inode to its recipe, if that is an object. */
  recipes: Table;
  /** Digest of a recipe object to the inodes that have it. */
  recipeHolders: MultiTable;
  /** Digest of a block to its locations. */
  blocks: MultiTable;
  /** Directory's inode to the digest of its tree. */
  directories: Table;
  /** Digest of a tree to its references and bytes. */
  trees: Table;
  /** Directories whose tree is behind; with a directory all those above it. */
  stale: Table;
  /** Trees without references that the root's tree may still reach. */
  condemned: Table;
  /** Files whose content is behind. */
  dirty: Table;
  /** Inode to locations that may be in `blocks` without being in the inode's content. */
  intents: Table;
  /** Sequence number to what one transaction gained and lost. */
  feed: Table;
  meta: Table;
  /** Runs `work`, which must not wait, as one transaction: all of it is committed or, if it throws, nothing. */
  transaction<T>(work: () => T): Promise<T>;
  /** The last commit, to be read for as long as it is open. Close it with `done()`: it keeps space from reuse. */
  openView(): View;
  /** Resolves when all that is committed is on the disk. */
  flushed(): Promise<void>;
  close(): Promise<void>;
}

export const tableNames = [
  'inodes',
  'names',
  'links',
  'recipes',
  'recipeHolders',
  'blocks',
  'directories',
  'trees',
  'stale',
  'condemned',
  'dirty',
  'intents',
  'feed',
  'meta',
] as const;

const multiTables: readonly string[] = ['links', 'recipeHolders', 'blocks'];

/** Address space reserved for the data, in bytes: the most an index can grow to. Takes neither memory nor disk. */
const mapBytes = 256 * 2 ** 30;

/** The file within an index's directory that holds the data. */
export const dataFileName = 'data.mdb';

/** ENOSPC; the library gives numbers. */
const noSpace = 28;

type Store = Database<Buffer, Buffer>;

/**
 * Opens or makes the tables in `directory`, which must exist.
 *
 * @param hasLostPower the machine has stopped since they were last open: commits that had not reached the disk are left out.
 * LMDB would find that out by itself, from the kernel's boot identifier, but not where a disk went back alone (a copy or a
 * snapshot of it, a resumed virtual machine).
 * @throws CovaultError `E_IO`, `E_NO_SPACE`, or `E_CORRUPT` if what is there is no such environment.
 */
export function openTables(directory: string, { hasLostPower = false } = {}): Tables {
  const path = join(directory, dataFileName);
  const root = attempt(path, () => openRoot(directory, hasLostPower));
  const store = (name: string, dupSort: boolean): Store =>
    attempt(path, () =>
      root.openDB<Buffer, Buffer>({ name, encoding: 'binary', keyEncoding: 'binary', dupSort, cache: false }),
    );
  const stores = Object.fromEntries(
    tableNames.map((name) => {
      const multiple = multiTables.includes(name);
      const table = store(name, multiple);
      return [name, multiple ? asMultiTable(table) : asTable(table)];
    }),
  ) as unknown as Omit<Tables, 'transaction' | 'openView' | 'flushed' | 'close'>;
  let hasFailed = false;
  return {
    ...stores,
    async transaction(work) {
      try {
        // A child transaction, because lmdb-js undoes a transaction whose callback throws only in that form.
        return (await root.childTransaction(work)) as ReturnType<typeof work>;
      } catch (error) {
        hasFailed = true;
        throw asIoError(await commitCause(error), path);
      }
    },
    openView() {
      // Reads of the same turn share a transaction, which may have begun before the last commit.
      root.resetReadTxn();
      return root.useReadTransaction();
    },
    async flushed() {
      if (!hasFailed) await root.flushed;
    },
    async close() {
      if (!hasFailed) return await root.close();
      // What lmdb-js waits for when it closes does not come after a commit that failed, until one went well: an empty one
      // does even on a full disk. Whatever happens, whoever closes is not kept waiting.
      const attempt = async () => {
        await root.childTransaction(() => undefined);
        await root.close();
      };
      await Promise.race([attempt().catch(() => undefined), pause(closeMsMax)]);
    },
  };
}

/** How long closing may take after a failed commit, in milliseconds. */
const closeMsMax = 2000;

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}

function openRoot(directory: string, hasLostPower: boolean): RootDatabase<Buffer, Buffer> {
  // An option that the library documents, but not in its types.
  const restoring: object = { safeRestore: hasLostPower };
  return open<Buffer, Buffer>({
    path: directory,
    noSubdir: false,
    maxDbs: tableNames.length + 2,
    mapSize: mapBytes,
    encoding: 'binary',
    keyEncoding: 'binary',
    overlappingSync: true,
    ...restoring,
    // Batches by turns of the event loop leave a promise that nobody can take when their commit fails.
    eventTurnBatching: false,
  });
}

function asTable(store: Store): Table {
  return {
    get: (key, view) => store.get(asBuffer(key), view && { transaction: view }),
    has: (key) => store.doesExist(asBuffer(key)),
    put(key, value) {
      void store.put(asBuffer(key), asBuffer(value));
    },
    remove(key) {
      void store.remove(asBuffer(key));
    },
    range: (options) => store.getRange(rangeOf(options)) as Iterable<{ key: Buffer; value: Buffer }>,
    keys: (options) => store.getKeys(rangeOf(options)),
    count: () => entryCount(store),
  };
}

function asMultiTable(store: Store): MultiTable {
  return {
    first: (key) => store.get(asBuffer(key)),
    values: (key, view) => store.getValues(asBuffer(key), view && { transaction: view }),
    has: (key) => store.doesExist(asBuffer(key)),
    put(key, value) {
      void store.put(asBuffer(key), asBuffer(value));
    },
    remove(key, value) {
      void store.remove(asBuffer(key), asBuffer(value));
    },
    keys: (options) => store.getKeys(rangeOf(options)),
    count: () => entryCount(store),
  };
}

/** The library may write into the options it is given, and takes a field that is there as meant. */
function rangeOf({ start, end, limit, view }: RangeOptions) {
  return {
    ...(start === undefined ? {} : { start: asBuffer(start) }),
    ...(end === undefined ? {} : { end: asBuffer(end) }),
    ...(limit === undefined ? {} : { limit }),
    ...(view === undefined ? {} : { transaction: view }),
  };
}

function entryCount(store: Store): number {
  return (store.getStats() as { entryCount: number }).entryCount;
}

/** Why a commit failed: lmdb-js tells that by a promise of its own, which somebody must take. */
async function commitCause(error: unknown): Promise<unknown> {
  if (!(error instanceof Error) || !('commitError' in error)) return error;
  try {
    await error.commitError;
    return error;
  } catch (cause) {
    return cause;
  }
}

function attempt<T>(path: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw asIoError(error, path);
  }
}

function asIoError(cause: unknown, path: string): unknown {
  if (cause instanceof CovaultError) return cause;
  const text = cause instanceof Error ? cause.message : String(cause);
  if (/MDB_(INVALID|CORRUPTED|VERSION_MISMATCH|PAGE_NOTFOUND|PANIC|BAD_)/.test(text)) {
    return new CovaultError('E_CORRUPT', `${path} is damaged`, { cause });
  }
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : undefined;
  if (/No space left|MDB_MAP_FULL/.test(text) || code === noSpace) {
    return new CovaultError('E_NO_SPACE', `no space for ${path}`, { cause, hint: 'make room and start again' });
  }
  if (/^MDB_|Input\/output|Permission denied/.test(text) || code !== undefined) {
    return new CovaultError('E_IO', `cannot use ${path}: ${text}`, { cause });
  }
  return cause;
}
