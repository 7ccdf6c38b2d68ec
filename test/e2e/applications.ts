/** Real applications in a copied directory: whether each opens its data, finds it sound, and how much of it is there. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { open as openLmdb } from 'lmdb';

export type Committed = Record<'sqlite-wal' | 'sqlite-rollback' | 'git' | 'lmdb', number>;

export function openDatabase(path: string): DatabaseSync {
  return new DatabaseSync(path);
}

export function runGit(directory: string, ...words: string[]): string {
  const identity = ['-c', 'user.name=test', '-c', 'user.email=test@localhost', '-c', 'gc.auto=0'];
  return execFileSync('git', ['-C', directory, ...identity, ...words], { encoding: 'utf8' });
}

/** @throws AssertionError naming the application whose data is not sound. @returns how many commits each has. */
export async function openAll(directory: string, rowsEach: number): Promise<Committed> {
  return {
    'sqlite-wal': readDatabase(join(directory, 'wal.db'), rowsEach),
    'sqlite-rollback': readDatabase(join(directory, 'rollback.db'), rowsEach),
    git: readRepository(join(directory, 'repository')),
    lmdb: await readTables(join(directory, 'tables.mdb')),
  };
}

function readDatabase(path: string, rowsEach: number): number {
  const database = openDatabase(path);
  try {
    assert.deepEqual({ ...database.prepare('PRAGMA integrity_check').get() }, { integrity_check: 'ok' }, path);
    const { rows, last } = database.prepare('SELECT count(*) AS rows, max(id) AS last FROM entries').get() as {
      rows: number;
      last: number | null;
    };
    assert.equal(rows, (last ?? -1) + 1, `${path}: no row is missing among the others`);
    assert.equal(rows % rowsEach, 0, `${path}: transactions are whole`);
    return rows / rowsEach;
  } finally {
    database.close();
  }
}

function readRepository(directory: string): number {
  runGit(directory, 'fsck', '--full', '--strict', '--no-dangling');
  const messages = runGit(directory, 'log', '--format=%s').trim().split('\n').map(Number).reverse();
  assert.deepEqual(
    messages,
    messages.map((_, position) => position),
    `${directory}: every commit has its predecessors`,
  );
  return messages.length;
}

async function readTables(path: string): Promise<number> {
  const root = openLmdb({ path, noSubdir: true });
  try {
    let entries = 0;
    for (const _ of root.getRange()) entries += 1;
    const [first, second] = [root.get('first') as number, root.get('second') as number];
    assert.equal(first, second, `${path}: transactions are whole`);
    assert.ok(entries >= Math.min(200, first) + 2, `${path}: all entries are there`);
    return first;
  } finally {
    await root.close();
  }
}
