/** Blocks and objects go into a store, and come out of it unchanged. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestHex } from '../../src/core/digest.ts';
import { encodeTree } from '../../src/core/tree.ts';
import type { Backend } from '../../src/store/backend.ts';
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
  testDigester,
  testDomain,
  testKdf,
  testPassword,
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

/** Counts the reads that reach the backend. */
function countReads(backend: Backend): Backend & { reads: () => number } {
  let reads = 0;
  return {
    ...backend,
    reads: () => reads,
    read: (name, range) => {
      reads++;
      return backend.read(name, range);
    },
  };
}

const many: Directory = { file: Array.from({ length: 60 }, (_, position) => testBytes(200 + position, 2000)) };
const digests = (many.file as Uint8Array[]).map((bytes) => testDigester.digest(bytes));

test('a block is read once, also when many ask at once, and the caller may change what it got', async () => {
  const backend = countReads(openMemoryBackend());
  await takeTestSnapshot(await makeTestStore(backend), many, 1);
  const store = await openTestStore(backend);
  const before = backend.reads();
  const digest = digests[0] as Uint8Array;
  const got = await Promise.all(Array.from({ length: 10 }, () => store.readBlock(digest)));
  for (const bytes of got) bytes?.fill(0);
  assert.deepEqual(await store.readBlock(digest), (many.file as Uint8Array[])[0]);
  assert.equal(backend.reads() - before, 1);
});

test('blocks fetched ahead come in few reads and are then at hand', async () => {
  const backend = countReads(openMemoryBackend());
  await takeTestSnapshot(await makeTestStore(backend), many, 1);
  const store = await openTestStore(backend);
  const before = backend.reads();
  await store.prefetch([...digests].reverse());
  assert.equal(backend.reads() - before, 1);
  for (const [position, digest] of digests.entries()) {
    assert.deepEqual(await store.readBlock(digest), (many.file as Uint8Array[])[position]);
  }
  assert.equal(backend.reads() - before, 1);
});

test('fetching ahead keeps to the bound of the cache and ignores what is not there', async () => {
  const backend = countReads(openMemoryBackend());
  await takeTestSnapshot(await makeTestStore(backend), many, 1);
  const store = await openTestStore(backend, { cacheBytes: 40_000 });
  await store.prefetch([testBytes(1, 32), ...digests]);
  const before = backend.reads();
  for (const digest of digests.slice(0, 10)) await store.readBlock(digest);
  assert.equal(backend.reads() - before, 0, 'half of the cache was filled');
  await store.readBlock(digests[11] as Uint8Array);
  assert.equal(backend.reads() - before, 1);
  await store.prefetch(digests, { signal: AbortSignal.abort() });
  assert.equal(backend.reads() - before, 1);
});

test('the order of reading follows the packs', async () => {
  const backend = openMemoryBackend();
  await takeTestSnapshot(await makeTestStore(backend, { packBytes: 10_000 }), many, 1);
  const store = await openTestStore(backend);
  const order = digests.map((digest) => store.readOrder(digest) ?? -1);
  assert.equal(new Set(order).size, digests.length);
  assert.ok(order.every((place) => Number.isSafeInteger(place) && place >= 0));
  assert.equal(store.readOrder(testBytes(1, 32)), undefined);
});

test('what is not in the store is undefined as a block and named as an object', async () => {
  const store = await makeTestStore(openMemoryBackend());
  const digest = testDigester.digest(testBytes(1, 1));
  assert.equal(await store.readBlock(digest), undefined);
  await assert.rejects(store.readObject('tree', digest), {
    code: 'E_NOT_FOUND',
    message: new RegExp(digestHex(digest)),
  });
});

test('a further password opens the same store', async () => {
  const backend = openMemoryBackend();
  const store = await makeTestStore(backend);
  await takeTestSnapshot(store, home, 1);
  await store.addPassword('second', testKdf);
  for (const password of [testPassword, 'second', Buffer.from('second')]) {
    const again = await openTestStore(backend, { password });
    assert.equal(again.id, store.id);
    assert.equal((await again.listSnapshots()).length, 1);
  }
  await assert.rejects(openTestStore(backend, { password: 'third' }), { code: 'E_AUTH' });
});

test('a store is made only where nothing is, with a password', async () => {
  const backend = openMemoryBackend();
  await assert.rejects(openTestStore(backend), { code: 'E_NOT_FOUND', message: /memory is not a store/ });
  await assert.rejects(makeTestStore(backend, { password: '' }), { code: 'E_BAD_INPUT' });
  assert.equal(backend.files.size, 0);
  backend.files.set('holiday.jpg', new Uint8Array(1));
  await assert.rejects(makeTestStore(backend), { code: 'E_EXISTS', message: /holiday.jpg/ });
  backend.files.clear();
  await makeTestStore(backend);
  await assert.rejects(makeTestStore(backend), { code: 'E_EXISTS', message: /a store already/ });
});

test('nothing that was stored can be read without the keys', async () => {
  const backend = openMemoryBackend();
  await takeTestSnapshot(await makeTestStore(backend), { 'secret name': [Buffer.from('secret content')] }, 1);
  const all = Buffer.concat([...backend.files.values()]);
  for (const secret of ['secret', 'laptop', testDomain.id]) assert.equal(all.includes(secret), false, secret);
  assert.equal(all.includes(Buffer.from(testDomain.digestKey)), false);
  assert.equal(all.includes(Buffer.from(testDigester.digest(Buffer.from('secret content')))), false);
});

test('a file whose content is missing is no obstacle to sealing and checking', async () => {
  const backend = openMemoryBackend();
  const store = await makeTestStore(backend);
  const attributes = { name: Buffer.from('busy'), mode: 0o644, uid: 0, gid: 0, mtimeNs: 0n, xattrs: [] };
  const tree = encodeTree([{ ...attributes, kind: 'file', size: 10, content: { missing: true } }]);
  const digest = testDigester.digest(tree);
  const writer = await store.openWriter();
  await writer.addObject('tree', digest, tree);
  await writer.seal(testRecord({ ...attributes, name: Buffer.alloc(0), kind: 'directory', tree: digest }, 1));
  assert.deepEqual((await store.check({ readData: true })).findings, []);
});
