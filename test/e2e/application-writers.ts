/**
 * Applications at work in a directory, each committing as fast as it can: `node application-writers.ts DIRECTORY`. Prints
 * a JSON line after each commit, `{"application": name, "committed": count}`: from then on the commit must not be lost.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { open as openLmdb } from 'lmdb';
import { rowsEach } from './application-rows.ts';
import { openDatabase, runGit } from './applications.ts';

function tell(application: string, committed: number): void {
  process.stdout.write(`${JSON.stringify({ application, committed })}\n`);
}

function writeDatabase(path: string, mode: 'WAL' | 'DELETE'): () => void {
  const database = openDatabase(path);
  database.exec(`PRAGMA journal_mode = ${mode}; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 20`);
  database.exec('CREATE TABLE IF NOT EXISTS entries (id INTEGER PRIMARY KEY, batch INTEGER, filling BLOB)');
  const insert = database.prepare('INSERT INTO entries (id, batch, filling) VALUES (?, ?, ?)');
  let committed = 0;
  return () => {
    database.exec('BEGIN IMMEDIATE');
    for (let row = 0; row < rowsEach; row++) insert.run(committed * rowsEach + row, committed, Buffer.alloc(900, row));
    // Something in the middle changes as well, so that old pages are written again.
    database.prepare('UPDATE entries SET filling = ? WHERE id = ?').run(Buffer.alloc(500, committed), committed);
    database.exec('COMMIT');
    committed += 1;
    tell(mode === 'WAL' ? 'sqlite-wal' : 'sqlite-rollback', committed);
  };
}

function writeRepository(directory: string): () => void {
  mkdirSync(directory);
  runGit(directory, 'init', '--quiet', '--initial-branch=main');
  runGit(directory, 'config', 'core.fsync', 'all');
  let committed = 0;
  return () => {
    writeFileSync(join(directory, `file-${committed % 7}`), `commit ${committed}\n`.repeat(1 + (committed % 50)));
    runGit(directory, 'add', '--all');
    runGit(directory, 'commit', '--quiet', '--message', `${committed}`);
    committed += 1;
    if (committed % 10 === 0) runGit(directory, 'repack', '--quiet', '-a', '-d');
    tell('git', committed);
  };
}

function writeTables(path: string): () => Promise<void> {
  const root = openLmdb({ path, noSubdir: true, overlappingSync: false });
  let committed = 0;
  return async () => {
    root.transactionSync(() => {
      committed += 1;
      root.putSync('first', committed);
      root.putSync(`filling ${committed % 200}`, Buffer.alloc(3000, committed));
      root.putSync('second', committed);
    });
    await root.flushed;
    tell('lmdb', committed);
  };
}

async function main(directory: string): Promise<void> {
  const steps = [
    writeDatabase(join(directory, 'wal.db'), 'WAL'),
    writeDatabase(join(directory, 'rollback.db'), 'DELETE'),
    writeTables(join(directory, 'tables.mdb')),
  ];
  const commit = writeRepository(join(directory, 'repository'));
  for (let turn = 0; ; turn++) {
    for (const step of steps) await step();
    if (turn % 5 === 0) commit();
    // Signals are looked at between turns.
    await sleep(1);
  }
}

const [directory] = process.argv.slice(2);
if (directory === undefined) throw new Error('usage: application-writers.ts DIRECTORY');
await main(directory);
