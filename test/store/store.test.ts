/** Blocks and objects go into a store, and come out of it unchanged. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openMemoryBackend } from './memory-backend.ts';
import {
  addDirectory,
  type Directory,
  makeTestStore,
  openTestStore,
  packDirectory,
  readDirectory,
  takeTestSnapshot,
  testBytes,
  testRecord,
} from './store-fixture.ts';

const home: Directory = {
  empty: [],
  'notes.txt': [testBytes(1, 3000, 16)],
  music: { song: Array.from({ length: 9 }, (_, position) => testBytes(100 + position, 20_000)) },
  docs: { a: [testBytes(2, 50_000, 4)], b: [testBytes(2, 50_000, 4)], deep: { er: { x: [testBytes(3, 1)] } } },
};

test('a sealed snapshot is listed and read back by another process', async () => {
  const backend = openMemoryBackend();
  const store = await makeTestStore(backend, { packBytes: 64 * 1024 });
  const record = await takeTestSnapshot(store, home, 1);
  const again = await openTestStore(backend);
  assert.deepEqual(await again.listSnapshots(), [record]);
  assert.deepEqual(await readDirectory(again, record.root.tree), home);
  assert.deepEqual(again.notices, []);
  const report = await again.check({ readData: true });
  assert.deepEqual(report.findings, []);
  assert.equal(report.ok, true);
});

test('what was written for a snapshot is counted to the last byte', async () => {
  const backend = openMemoryBackend();
  const store = await makeTestStore(backend, { packBytes: 64 * 1024 });
  const before = (await store.statistics()).storedBytes;
  const record = await takeTestSnapshot(store, home, 1);
  assert.equal(record.storedBytes, (await store.statistics()).storedBytes - before);
  const second = await takeTestSnapshot(store, home, 2);
  assert.equal(second.storedBytes, backend.files.get('snapshots/00000000000000000000000000000002')?.byteLength);
});

test('a snapshot that is not sealed is not listed, and what was added is found by the next', async () => {
  const backend = openMemoryBackend();
  const store = await makeTestStore(backend);
  const packed = packDirectory(home);
  const writer = await store.openWriter();
  await addDirectory(writer, packed);
  await writer.abandon();
  assert.deepEqual(await (await openTestStore(backend)).listSnapshots(), []);
  const next = await (await openTestStore(backend)).openWriter();
  assert.equal(await addDirectory(next, packed), 0);
  const record = await next.seal(testRecord(packed.root, 1));
  const reader = await openTestStore(backend);
  assert.deepEqual(await readDirectory(reader, record.root.tree), home);
});
