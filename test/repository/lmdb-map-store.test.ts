/** The map store over LMDB: the conformance suite, and what only files on disk can get wrong. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { isCovaultError } from '../../src/core/errors.ts';
import { openLmdbMapStore } from '../../src/repository/lmdb-map-store.ts';
import { digestOf } from './digest-of.ts';
import { mapStoreSuite } from './map-store-suite.ts';

async function temporaryDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'covault-map-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

mapStoreSuite(async (t) => {
  const directory = await temporaryDirectory(t);
  return { open: () => openLmdbMapStore(directory) };
});

test('the data file is readable by its owner alone', async (t) => {
  const directory = await temporaryDirectory(t);
  const store = await openLmdbMapStore(join(directory, 'deep', 'map'));
  await store.close();
  assert.equal((await stat(join(directory, 'deep', 'map', 'data.mdb'))).mode & 0o777, 0o600);
});

test('one owner at a time serves from a store', async (t) => {
  const directory = await temporaryDirectory(t);
  const store = await openLmdbMapStore(directory);
  t.after(() => store.close());
  store.claimOwnership();
  assert.throws(
    () => store.claimOwnership(),
    (error) => isCovaultError(error, 'E_BUSY') && error.message.includes(String(process.pid)),
  );
  await store.close();
  const next = await openLmdbMapStore(directory);
  t.after(() => next.close());
  next.claimOwnership();
});

test('a full disk fails the write with an error, and what was acknowledged before is there', {
  timeout: 60_000,
}, async (t) => {
  const directory = await temporaryDirectory(t);
  const program = new URL('./full-disk-process.ts', import.meta.url).pathname;
  // A limit on the size of files stands for the full disk: it needs no privilege.
  const script = 'ulimit -f 3000 && exec "$0" "$1" "$2"';
  const { stdout } = await promisify(execFile)('bash', ['-c', script, process.execPath, program, directory]);
  const { code, acknowledged } = JSON.parse(stdout) as { code: string; acknowledged: number };
  assert.ok(['E_IO', 'E_NO_SPACE'].includes(code), code);
  assert.ok(acknowledged > 0);
  const store = await openLmdbMapStore(directory);
  t.after(() => store.close());
  assert.deepEqual(await store.position(1), { history: 'a'.repeat(32), sequence: acknowledged });
  const holders = await store.holdersOf(Array.from({ length: acknowledged * 1000 }, (_, i) => digestOf(i)));
  assert.ok(holders.every(([holder]) => holder === 1));
  await store.applyChanges(1, { gained: [digestOf(9)], lost: [], position: { history: 'a'.repeat(32), sequence: 99 } });
});
