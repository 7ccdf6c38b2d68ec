/** A store in a local directory: what every backend must do, and what is particular to files. */
import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { isStore, openLocalBackend } from '../../src/store/local-backend.ts';
import { testBackend } from './backend-suite.ts';
import { makeTestStore } from './store-fixture.ts';

async function directory(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'covault-backend-'));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

testBackend('local directory', async (t) => openLocalBackend(await directory(t)));

test('only the owner can read files and folders', async (t) => {
  const path = join(await directory(t), 'store');
  await openLocalBackend(path).write('packs/aa/file', [Buffer.from('x')]);
  for (const folder of ['', 'packs', 'packs/aa']) assert.equal((await stat(join(path, folder))).mode & 0o777, 0o700);
  assert.equal((await stat(join(path, 'packs/aa/file'))).mode & 0o777, 0o600);
});

test('a write leaves nothing but its file', async (t) => {
  const path = await directory(t);
  const backend = openLocalBackend(path);
  await backend.write('packs/aa/file', [Buffer.from('x')]);
  await assert.rejects(backend.write('packs/aa/file', [Buffer.from('y')]));
  assert.deepEqual((await readdir(path, { recursive: true })).sort(), ['packs', 'packs/aa', 'packs/aa/file']);
});

test('leftovers of dead writers are never listed, and removed once they are old', async (t) => {
  const path = await directory(t);
  const backend = openLocalBackend(path);
  await mkdir(join(path, 'packs'));
  const young = `.young.${'0'.repeat(32)}.tmp`;
  const old = `.old.${'0'.repeat(32)}.tmp`;
  for (const name of [young, old]) await writeFile(join(path, 'packs', name), 'half');
  const longAgo = Date.now() / 1000 - 2 * 3600;
  await utimes(join(path, 'packs', old), longAgo, longAgo);
  assert.deepEqual(await backend.list(''), []);
  await backend.removeLeftovers();
  assert.deepEqual(await readdir(join(path, 'packs')), [young]);
});

test('files that somebody else put there are listed by whatever name', async (t) => {
  const path = await directory(t);
  await writeFile(join(path, 'Thumbs.db'), 'x');
  await mkdir(join(path, 'packs'));
  await writeFile(join(path, 'packs', 'my notes'), 'xy');
  assert.deepEqual(await openLocalBackend(path).list(''), [
    { name: 'Thumbs.db', bytes: 1 },
    { name: 'packs/my notes', bytes: 2 },
  ]);
});

test('the lost+found of a file system is no part of a store', async (t) => {
  const path = await directory(t);
  await mkdir(join(path, 'lost+found'));
  await writeFile(join(path, 'lost+found', '#12'), 'x');
  assert.deepEqual(await openLocalBackend(path).list(''), []);
});

test('what the system refuses is named with its path', async (t) => {
  const path = await directory(t);
  await writeFile(join(path, 'packs'), 'a file in the place of a folder');
  const backend = openLocalBackend(path);
  await assert.rejects(backend.write('packs/aa/file', [Buffer.from('x')]), { code: 'E_IO', message: /packs/ });
  await assert.rejects(backend.list('packs/'), { code: 'E_IO', message: /packs/ });
  if (process.getuid?.() === 0) return;
  await chmod(path, 0o500);
  try {
    await assert.rejects(backend.write('file', []), { code: 'E_IO', message: /EACCES/ });
  } finally {
    await chmod(path, 0o700);
  }
});

test('only a directory with the config of a store is a store', async (t) => {
  const path = await directory(t);
  assert.equal(await isStore(path), false);
  assert.equal(await isStore(join(path, 'absent')), false);
  await writeFile(join(path, 'config'), '[core]\n');
  assert.equal(await isStore(path), false);
  assert.equal(await isStore(join(path, 'config')), false);
  const store = join(path, 'store');
  await makeTestStore(openLocalBackend(store));
  assert.equal(await isStore(store), true);
});
