/** Packs and index files: written, read back, and every kind of damage to them noticed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { digestHex } from '../../src/core/digest.ts';
import { checksum, tagBytes } from '../../src/store/cipher.ts';
import { headerBytes } from '../../src/store/file-header.ts';
import { eachRow, indexedPack, readIndexFile, writeIndexFile } from '../../src/store/index-file.ts';
import { mergeIndexFiles, unitePacks } from '../../src/store/index-merge.ts';
import { deriveStoreKeys } from '../../src/store/keys.ts';
import { packName } from '../../src/store/layout.ts';
import { type FinishedPack, PackBuilder } from '../../src/store/pack-builder.ts';
import { type EntryKind, footerBytes, type PackKind, packKey, packRowBytes } from '../../src/store/pack-format.ts';
import { openEntry, readPackContents } from '../../src/store/pack-reader.ts';
import { openMemoryBackend } from './memory-backend.ts';
import { testBytes, testDigester } from './store-fixture.ts';

const keys = deriveStoreKeys(testBytes(1, 32), testBytes(2, 16));

function build(kind: PackKind, bodies: readonly Uint8Array[]): FinishedPack & { file: Buffer; name: string } {
  const builder = new PackBuilder(kind, keys);
  bodies.forEach((body, position) => {
    const entryKind: EntryKind = kind === 'blocks' ? 'block' : position % 2 === 0 ? 'tree' : 'recipe';
    const digest = testDigester.digest(body);
    builder.add({ digest, kind: entryKind, rawBytes: body.byteLength, compressed: false, body });
  });
  const finished = builder.finish();
  return { ...finished, file: Buffer.concat(finished.chunks), name: packName(finished.contents.hash) };
}

function stored(files: Record<string, Uint8Array>) {
  const backend = openMemoryBackend();
  for (const [name, bytes] of Object.entries(files)) backend.files.set(name, bytes);
  return backend;
}

test('a pack tells from its own bytes what was put in, and gives it back', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom<PackKind>('blocks', 'objects'),
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 20 }),
      async (kind, bodies) => {
        const { contents, file, name } = build(kind, bodies);
        assert.equal(name.slice(9), Buffer.from(checksum(file)).toString('hex'));
        assert.equal(contents.bytes, file.byteLength);
        const read = await readPackContents(stored({ [name]: file }), keys, name, file.byteLength);
        assert.deepEqual(read, contents);
        const key = packKey(keys, kind, read.salt);
        for (const [position, row] of read.rows.entries()) {
          const part = file.subarray(row.offset, row.offset + row.storedBytes);
          const body = await openEntry(key, read.hash, row, part, testDigester);
          assert.deepEqual(new Uint8Array(body), bodies[position]);
        }
      },
    ),
    { numRuns: 40 },
  );
});

test('a trailer longer than what is read at first is read whole', async () => {
  const bodies = Array.from({ length: 1500 }, (_, position) => testBytes(position, 5));
  const { contents, file, name } = build('objects', bodies);
  assert.ok(1500 * packRowBytes > 32 * 1024);
  assert.deepEqual(await readPackContents(stored({ [name]: file }), keys, name, file.byteLength), contents);
});

test('every flipped bit of a pack is noticed: in its header and trailer at once, in an entry when it is read', async () => {
  const { contents, file, name } = build('blocks', [testBytes(1, 20), testBytes(2, 30)]);
  const key = packKey(keys, 'blocks', contents.salt);
  const entriesEnd = file.byteLength - footerBytes - 2 * packRowBytes - tagBytes;
  for (let at = 0; at < file.byteLength; at++) {
    const damaged = Buffer.from(file);
    damaged[at] = (damaged[at] as number) ^ (1 << (at % 8));
    if (at < headerBytes || at >= entriesEnd) {
      const reading = readPackContents(stored({ [name]: damaged }), keys, name, damaged.byteLength);
      await assert.rejects(reading, (error: Error & { code?: string }) => /E_CORRUPT|E_VERSION/.test(error.code ?? ''));
      continue;
    }
    const row = contents.rows.find(({ offset, storedBytes }) => at >= offset && at < offset + storedBytes);
    assert.ok(row);
    const part = damaged.subarray(row.offset, row.offset + row.storedBytes);
    await assert.rejects(openEntry(key, contents.hash, row, part, testDigester), { code: 'E_CORRUPT' });
  }
});

test('a pack cut off anywhere is noticed', async () => {
  const { file, name } = build('blocks', [testBytes(1, 20)]);
  for (let length = 0; length < file.byteLength; length++) {
    const backend = stored({ [name]: file.subarray(0, length) });
    await assert.rejects(readPackContents(backend, keys, name, length), { code: 'E_CORRUPT' });
  }
});

test('entries cannot be swapped or taken for another kind', async () => {
  const { contents, file } = build('objects', [testBytes(1, 20), testBytes(2, 20)]);
  const key = packKey(keys, 'objects', contents.salt);
  const [first, second] = contents.rows;
  assert.ok(first && second);
  const part = file.subarray(second.offset, second.offset + second.storedBytes);
  await openEntry(key, 'hash', second, part, testDigester);
  for (const wrong of [first, { ...second, kind: 'tree' as const }, { ...second, offset: first.offset }]) {
    await assert.rejects(openEntry(key, 'hash', wrong, part, testDigester), { code: 'E_CORRUPT' });
  }
});

test("another store's pack is told by name", async () => {
  const { file, name } = build('blocks', [testBytes(1, 20)]);
  const others = deriveStoreKeys(testBytes(1, 32), testBytes(3, 16));
  const reading = readPackContents(stored({ [name]: file }), others, name, file.byteLength);
  await assert.rejects(reading, { code: 'E_CORRUPT', message: /another store/ });
});

test('an index file says again what the packs say', async () => {
  const backend = openMemoryBackend();
  const packs = [build('blocks', [testBytes(1, 9), testBytes(2, 99)]), build('objects', [testBytes(3, 5)])];
  const { name, bytes } = await writeIndexFile(
    backend,
    keys,
    packs.map(({ contents }) => indexedPack(contents)),
  );
  assert.equal(await backend.size(name), bytes);
  const read = await readIndexFile(backend, keys, name);
  for (const [position, { contents }] of packs.entries()) {
    const indexed = read[position];
    assert.ok(indexed);
    const rows = [...eachRow(indexed, name)].map((row) => ({ ...row, digest: new Uint8Array(row.digest) }));
    assert.deepEqual({ ...indexed, rows }, contents);
  }
});

test('a row that lies beyond its pack, or is larger than any block, is refused', () => {
  const { contents } = build('blocks', [testBytes(1, 9)]);
  const [row] = contents.rows;
  assert.ok(row);
  for (const wrong of [
    { ...row, offset: contents.bytes },
    { ...row, rawBytes: 5 * 1024 * 1024, compressed: true },
    { ...row, rawBytes: 8 },
    { ...row, storedBytes: 3 },
  ]) {
    const indexed = indexedPack({ ...contents, rows: [wrong] });
    assert.throws(() => [...eachRow(indexed, 'indexes/1')], { code: 'E_CORRUPT', message: /indexes\/1/ });
  }
});

test('packs united have every row once', () => {
  const { contents } = build('objects', [testBytes(1, 9), testBytes(2, 9), testBytes(3, 9)]);
  const some = (...positions: number[]) =>
    indexedPack({ ...contents, rows: contents.rows.filter((_, position) => positions.includes(position)) });
  const other = indexedPack(build('blocks', [testBytes(4, 9)]).contents);
  const united = unitePacks([some(0, 1), other, some(1, 2), some(1)]);
  assert.equal(united.length, 2);
  assert.deepEqual(united.find(({ hash }) => hash === contents.hash)?.rows, indexedPack(contents).rows);
});

test('many small index files become one that says the same', async () => {
  const backend = openMemoryBackend();
  const files = new Map<string, number>();
  const digests = new Set<string>();
  for (let number = 0; number < 20; number++) {
    const { contents } = build('blocks', [testBytes(number, 50)]);
    for (const { digest } of contents.rows) digests.add(digestHex(digest));
    files.set((await writeIndexFile(backend, keys, [indexedPack(contents)])).name, 1);
  }
  const onMerged = (merged: { name: string; rows: number }, removed: readonly string[]) => {
    for (const name of removed) files.delete(name);
    files.set(merged.name, merged.rows);
  };
  await mergeIndexFiles(backend, keys, new Map([...files].slice(0, 16)), onMerged);
  assert.equal(backend.files.size, 20, 'few are left alone');
  await mergeIndexFiles(backend, keys, files, onMerged);
  assert.deepEqual([...backend.files.keys()], [...files.keys()]);
  const [[name, rows] = ['', 0]] = files;
  assert.equal(rows, 20);
  const found = (await readIndexFile(backend, keys, name)).flatMap((pack) => [...eachRow(pack, name)]);
  assert.deepEqual(new Set(found.map(({ digest }) => digestHex(digest))), digests);
});

test('merging goes on past index files that are gone or damaged', async () => {
  const backend = openMemoryBackend();
  const files = new Map<string, number>();
  for (let number = 0; number < 20; number++) {
    const { contents } = build('blocks', [testBytes(number, 50)]);
    files.set((await writeIndexFile(backend, keys, [indexedPack(contents)])).name, 1);
  }
  const [gone = '', damaged = ''] = files.keys();
  backend.files.delete(gone);
  backend.files.set(damaged, Buffer.from('damaged'));
  let rows = 0;
  await mergeIndexFiles(backend, keys, files, (merged) => {
    rows = merged.rows;
  });
  assert.equal(rows, 18);
  assert.ok(backend.files.has(damaged), 'the damaged one is left for a check to name');
});
