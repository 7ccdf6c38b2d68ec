/** The map store over LMDB: the conformance suite, and what only files on disk can get wrong. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { isCovaultError } from '../../src/core/errors.ts';
import { openLmdbMapStore } from '../../src/repository/lmdb-map-store.ts';
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
