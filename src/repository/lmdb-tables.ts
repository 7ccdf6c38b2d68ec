/**
 * The tables of the repository in LMDB. The only import of `lmdb` in this stage.
 *
 * | table | key | value |
 * |---|---|---|
 * | holders | first 16 bytes of a digest | member number, 4 bytes big endian; one value for each holder |
 * | holdings | member number, 4 bytes, then the first 16 bytes of a digest | nothing |
 * | members | name | member record |
 * | leases, positions, counts | member number, 4 bytes | record |
 * | tokens | SHA-256 of the secret | token record |
 * | settings | text | bytes |
 *
 * Sixteen bytes of a keyed digest are enough: entries are hints, and two blocks that share them do not occur by chance.
 */
import { chmod, stat } from 'node:fs/promises';
import { constants } from 'node:os';
import { join } from 'node:path';
import { type Database, open, type RootDatabase } from 'lmdb';
import { makeDirectoryDurably } from '../core/atomic-file.ts';
import { CovaultError } from '../core/errors.ts';

export type Table = Database<Buffer, Buffer>;

export interface Tables {
  holders: Table;
  holdings: Table;
  members: Table;
  leases: Table;
  positions: Table;
  counts: Table;
  tokens: Table;
  settings: Table;
  /** Runs `writes` (puts and removes, no reads of their results) as one transaction; resolves when it is durable. */
  batch(writes: () => void): Promise<void>;
  /** Runs reads and writes as one transaction, alone among all processes; durable when it returns. Keep it short. */
  exclusively<T>(act: () => T): T;
  /** Bytes of the data file. */
  fileBytes(): Promise<number>;
  close(): Promise<void>;
}

/** Opens or makes the tables in `directory`, which may be open in other processes too. @throws CovaultError `E_IO`. */
export async function openTables(directory: string): Promise<Tables> {
  await makeDirectoryDurably(directory);
  const data = join(directory, 'data.mdb');
  const root = openRoot(directory);
  // The authority's private key is within.
  await chmod(data, 0o600);
  const table = (name: string, dupSort = false): Table =>
    root.openDB<Buffer, Buffer>({ name, encoding: 'binary', keyEncoding: 'binary', dupSort });
  return {
    holders: table('holders', true),
    holdings: table('holdings'),
    members: table('members'),
    leases: table('leases'),
    positions: table('positions'),
    counts: table('counts'),
    tokens: table('tokens'),
    settings: table('settings'),
    async batch(writes) {
      try {
        const done = root.batch(writes);
        // Each write has a promise of its own that fails with the batch; nobody else would handle it.
        root.committed.then(undefined, () => undefined);
        await done;
      } catch (error) {
        throw writeError(await reasonOf(error), data);
      }
    },
    exclusively: (act) => root.transactionSync(act),
    fileBytes: async () => (await stat(data)).size,
    close: () => root.close(),
  };
}

function openRoot(directory: string): RootDatabase {
  try {
    const root = open({
      path: directory,
      noSubdir: false,
      maxDbs: 8,
      // A write is acknowledged when it is on the disk, not when it is visible.
      overlappingSync: false,
    });
    root.readerCheck();
    return root;
  } catch (cause) {
    throw new CovaultError('E_IO', `cannot open the repository's tables in ${directory}`, { cause });
  }
}

/** lmdb puts the system's error into a promise beside its own, which has to be handled too. */
async function reasonOf(error: unknown): Promise<unknown> {
  if (!(error instanceof Error) || !('commitError' in error)) return error;
  return Promise.resolve(error.commitError).then(
    () => error,
    (reason: unknown) => reason,
  );
}

function writeError(cause: unknown, path: string): CovaultError {
  const isFull = cause instanceof Error && 'code' in cause && cause.code === constants.errno.ENOSPC;
  return new CovaultError(isFull ? 'E_NO_SPACE' : 'E_IO', `cannot write to ${path}`, {
    cause,
    hint: 'check that the disk is not full',
  });
}
