/** Files are replaced whole or not at all, and failures leave nothing behind. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import {
  isTemporaryName,
  makeDirectoryDurably,
  removeFileDurably,
  writeFileAtomic,
} from '../../src/core/atomic-file.ts';

async function directory(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'covault-atomic-'));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

test('a file has exactly the chunks given, in order, and private permissions', async (t) => {
  const place = await directory(t);
  const path = join(place, 'file');
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 20 }), async (chunks) => {
      await writeFileAtomic(path, chunks);
      assert.deepEqual(await readFile(path), Buffer.concat(chunks));
    }),
    { numRuns: 20 },
  );
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.deepEqual(await readdir(place), ['file']);
});

test('more chunks than one system call takes are all written', async (t) => {
  const path = join(await directory(t), 'file');
  const chunks = Array.from({ length: 3000 }, (_, position) => Buffer.from(`${position},`));
  await writeFileAtomic(path, chunks);
  assert.deepEqual(await readFile(path), Buffer.concat(chunks));
});

test('a text and a mode are taken, and what was there is replaced', async (t) => {
  const path = join(await directory(t), 'file');
  await writeFile(path, 'a much longer text than the next');
  await writeFileAtomic(path, 'next', { mode: 0o640 });
  assert.equal(await readFile(path, 'utf8'), 'next');
  assert.equal((await stat(path)).mode & 0o777, 0o640);
});

test('a failed write leaves no temporary file and the old content', async (t) => {
  const place = await directory(t);
  await makeDirectoryDurably(join(place, 'taken', 'inner'));
  await assert.rejects(writeFileAtomic(join(place, 'taken'), 'x'), { code: 'E_IO' });
  assert.deepEqual(await readdir(place), ['taken']);
});

test('an aborted write leaves nothing', async (t) => {
  const place = await directory(t);
  const signal = AbortSignal.abort();
  await assert.rejects(writeFileAtomic(join(place, 'file'), 'x', { signal }), { code: 'E_INTERRUPTED' });
  assert.deepEqual(await readdir(place), []);
});

test('a missing directory is named', async (t) => {
  const path = join(await directory(t), 'absent', 'file');
  await assert.rejects(writeFileAtomic(path, 'x'), (error: Error & { code?: string }) => {
    assert.equal(error.code, 'E_NOT_FOUND');
    assert.match(error.message, /absent/);
    return true;
  });
});

test('removing says whether the file was there', async (t) => {
  const path = join(await directory(t), 'file');
  await writeFileAtomic(path, 'x');
  assert.equal(await removeFileDurably(path), true);
  assert.equal(await removeFileDurably(path), false);
});

test('directories are made with the ones above them, and making one again is harmless', async (t) => {
  const path = join(await directory(t), 'a', 'b', 'c');
  await makeDirectoryDurably(path);
  await makeDirectoryDurably(path);
  assert.equal((await stat(path)).mode & 0o777, 0o700);
});

test('only names of temporary files count as such', () => {
  assert.ok(isTemporaryName(`.file.${'0'.repeat(32)}.tmp`));
  for (const name of ['file', '.file', '.file.tmp', `file.${'0'.repeat(32)}.tmp`, `.f.${'0'.repeat(31)}.tmp`]) {
    assert.equal(isTemporaryName(name), false, name);
  }
});
