/** Writing snapshots: what counts as held, what is refused, and what happens at sealing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { constants, zstdCompressSync } from 'node:zlib';
import { compress } from '../../src/core/compression.ts';
import type { Domain } from '../../src/core/domain.ts';
import type { Backend } from '../../src/store/backend.ts';
import { packHash } from '../../src/store/layout.ts';
import { openFaultyBackend } from './faulty-backend.ts';
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
  testRecord,
} from './store-fixture.ts';

const home: Directory = { a: [testBytes(1, 3000)], b: { c: [testBytes(2, 4000)], d: [testBytes(3, 10)] } };

function blockOf(bytes: Uint8Array) {
  return { digest: testDigester.digest(bytes), length: bytes.byteLength };
}

function packsOf(backend: { files: Map<string, Uint8Array> }): Uint8Array[] {
  return [...backend.files].filter(([name]) => packHash(name)).map(([, bytes]) => bytes);
}

test('a block added many times at once is stored once', async () => {
  const backend = openMemoryBackend();
  const store = await makeTestStore(backend);
  const writer = await store.openWriter();
  const bytes = testBytes(1, 100_000);
  await Promise.all(Array.from({ length: 20 }, () => writer.addBlock(blockOf(bytes), bytes)));
  await writer.addBlock(blockOf(bytes), bytes);
  await writer.flush();
  await writer.addBlock(blockOf(bytes), bytes);
  await writer.flush();
  const total = packsOf(backend).reduce((sum, pack) => sum + pack.byteLength, 0);
  assert.ok(total > 100_000 && total < 101_000, `${total} bytes`);
});

test('blocks are compressed where that helps and stored as they are where not', async () => {
  const backend = openMemoryBackend();
  const writer = await (await makeTestStore(backend)).openWriter();
  const text = testBytes(1, 100_000, 4);
  await writer.addBlock(blockOf(text), text);
  await writer.flush();
  assert.ok(writer.storedBytes() < 35_000);
  const before = writer.storedBytes();
  const random = testBytes(1, 100_000);
  await writer.addBlock(blockOf(random), random);
  await writer.flush();
  assert.ok(writer.storedBytes() - before > 100_000);
  const reader = await openTestStore(backend);
  assert.deepEqual(await reader.readBlock(blockOf(text).digest), text);
  assert.deepEqual(await reader.readBlock(blockOf(random).digest), random);
});

test('a block that came compressed is stored as it came, unless that saves nothing', async () => {
  const backend = openMemoryBackend();
  const writer = await (await makeTestStore(backend)).openWriter();
  const text = Buffer.from('all work and no play makes a dull backup. '.repeat(5000));
  // Much larger than what the store would make of it.
  const cameAs = zstdCompressSync(text, {
    params: { [constants.ZSTD_c_strategy]: 1, [constants.ZSTD_c_windowLog]: 10 },
  });
  const own = (await compress(text)) as Uint8Array;
  assert.ok(cameAs.byteLength > own.byteLength + 1000 && cameAs.byteLength < text.byteLength / 2);
  await writer.addBlock(blockOf(text), text, cameAs);
  await writer.flush();
  const first = writer.storedBytes();
  assert.ok(first >= cameAs.byteLength, `${first} bytes of ${cameAs.byteLength}`);
  const careless = testBytes(3, 100_000, 4);
  await writer.addBlock(blockOf(careless), careless, Buffer.concat([zstdCompressSync(careless), Buffer.alloc(99_000)]));
  await writer.flush();
  assert.ok(writer.storedBytes() - first < 35_000);
  const store = await openTestStore(backend);
  for (const bytes of [text, careless])
    assert.deepEqual(await store.readBlock(blockOf(bytes).digest), new Uint8Array(bytes));
});

test('the caller may reuse its buffer once a block was taken', async () => {
  const backend = openMemoryBackend();
  const writer = await (await makeTestStore(backend)).openWriter();
  const buffer = testBytes(1, 5000);
  const block = blockOf(buffer);
  await writer.addBlock(block, buffer);
  buffer.fill(0);
  await writer.flush();
  assert.deepEqual(await (await openTestStore(backend)).readBlock(block.digest), testBytes(1, 5000));
});

test('packs are written as they fill, and an object can be read before and after its pack is written', async () => {
  const backend = openMemoryBackend();
  const writer = await (await makeTestStore(backend, { packBytes: 10_000, cacheBytes: 0 })).openWriter();
  const objects = Array.from({ length: 40 }, (_, position) => testBytes(position, 1000));
  for (const bytes of objects) await writer.addObject('tree', testDigester.digest(bytes), bytes);
  assert.ok(packsOf(backend).length >= 3);
  for (const bytes of objects) {
    const digest = testDigester.digest(bytes);
    assert.ok(writer.hasObject('tree', digest));
    assert.deepEqual(new Uint8Array(await writer.readObject('tree', digest)), bytes);
    assert.equal(writer.hasObject('recipe', digest), false);
  }
  await assert.rejects(writer.readObject('recipe', testDigester.digest(testBytes(1, 1000))), { code: 'E_NOT_FOUND' });
});

test('a snapshot is sealed without reading back what was just written', async () => {
  const memory = openMemoryBackend();
  const reads: string[] = [];
  const backend: Backend = {
    ...memory,
    read(name, range) {
      reads.push(name);
      return memory.read(name, range);
    },
  };
  const writer = await (await makeTestStore(backend)).openWriter();
  const packed = packDirectory(home);
  const buffer = new Uint8Array(10_000);
  for (const { kind, digest, bytes } of packed.objects.values()) {
    buffer.set(bytes);
    await writer.addObject(kind, digest, buffer.subarray(0, bytes.byteLength));
    buffer.fill(0);
  }
  for (const { digest, bytes } of packed.blocks.values()) {
    await writer.addBlock({ digest, length: bytes.byteLength }, bytes);
  }
  await writer.flush();
  reads.length = 0;
  for (const { kind, digest, bytes } of packed.objects.values()) {
    assert.deepEqual(new Uint8Array(await writer.readObject(kind, digest)), new Uint8Array(bytes));
  }
  await writer.seal(testRecord(packed.root, 1));
  assert.deepEqual(
    reads.filter((name) => packHash(name)),
    [],
  );
});

test('bytes that are not those of the digest are refused, and the writer goes on', async () => {
  const backend = openMemoryBackend();
  const writer = await (await makeTestStore(backend)).openWriter();
  const bytes = testBytes(1, 100);
  await assert.rejects(writer.addBlock(blockOf(testBytes(2, 100)), bytes), { code: 'E_CORRUPT' });
  await assert.rejects(writer.addBlock({ ...blockOf(bytes), length: 99 }, bytes), { code: 'E_CORRUPT' });
  await assert.rejects(writer.addObject('tree', testDigester.digest(testBytes(2, 100)), bytes), { code: 'E_CORRUPT' });
  assert.equal(writer.hasBlock(blockOf(testBytes(2, 100)).digest), false);
  await writer.addBlock(blockOf(bytes), bytes);
  await writer.flush();
  assert.ok((await openTestStore(backend)).hasBlock(blockOf(bytes).digest));
});

test("another domain's snapshot is refused", async () => {
  const store = await makeTestStore(openMemoryBackend());
  const otherKey: Domain = { ...testDomain, digestKey: testBytes(7, 32) };
  const otherId: Domain = { ...testDomain, id: 'f'.repeat(32) };
  for (const domain of [otherKey, otherId]) {
    await assert.rejects(store.openWriter({ domain }), { code: 'E_BAD_INPUT', message: /another domain/ });
  }
  await store.openWriter({ domain: testDomain });
});

test('a snapshot that lacks anything is not sealed, and can be once it is there', async () => {
  const backend = openMemoryBackend();
  const store = await makeTestStore(backend);
  const packed = packDirectory(home);
  const record = testRecord(packed.root, 1);
  const writer = await store.openWriter();
  const additions = [
    ...[...packed.objects.values()].map((one) => () => writer.addObject(one.kind, one.digest, one.bytes)),
    ...[...packed.blocks.values()].map(
      ({ bytes }) =>
        () =>
          writer.addBlock(blockOf(bytes), bytes),
    ),
  ];
  for (const add of additions) {
    await assert.rejects(writer.seal(record), { code: 'E_CORRUPT', message: /is not in the store/ });
    assert.deepEqual(await (await openTestStore(backend)).listSnapshots(), []);
    await add();
  }
  await writer.seal(record);
  const reader = await openTestStore(backend);
  assert.equal((await reader.listSnapshots()).length, 1);
  assert.deepEqual(await readDirectory(reader, packed.root.tree), home);
});

test('objects of an interrupted snapshot can be read but do not count as complete', async () => {
  const backend = openMemoryBackend();
  const packed = packDirectory(home);
  const interrupted = await (await makeTestStore(backend)).openWriter();
  for (const { kind, digest, bytes } of packed.objects.values()) await interrupted.addObject(kind, digest, bytes);
  await interrupted.abandon();

  const writer = await (await openTestStore(backend)).openWriter();
  for (const { kind, digest, bytes } of packed.objects.values()) {
    assert.equal(writer.hasObject(kind, digest), false);
    assert.deepEqual(new Uint8Array(await writer.readObject(kind, digest)), bytes);
  }
  const before = backend.files.size;
  await addDirectory(writer, packed);
  assert.ok(writer.hasObject('tree', packed.root.tree));
  await writer.seal(testRecord(packed.root, 1));
  const added = [...backend.files.keys()].slice(before);
  assert.deepEqual(added.map((name) => name.split('/')[0]).sort(), ['indexes', 'indexes', 'packs', 'snapshots']);

  const next = await (await openTestStore(backend)).openWriter();
  for (const { kind, digest } of packed.objects.values()) assert.ok(next.hasObject(kind, digest));
});

test('what an interrupted snapshot left incomplete never enters a later one unseen', async () => {
  const backend = openMemoryBackend();
  // The tree of `stale` came, its block did not; the file changed before the next run.
  const stale = packDirectory({ ...home, x: { stale: [testBytes(50, 500)] } });
  const writer = await (await makeTestStore(backend)).openWriter();
  for (const { kind, digest, bytes } of stale.objects.values()) await writer.addObject(kind, digest, bytes);
  await writer.abandon();
  await takeTestSnapshot(await openTestStore(backend), home, 1);
  const store = await openTestStore(backend);
  const later = await store.openWriter();
  await assert.rejects(later.seal(testRecord(stale.root, 2)), { code: 'E_CORRUPT' });
  await later.abandon();
  const record = await takeTestSnapshot(store, { ...home, x: { stale: [testBytes(50, 500)] } }, 3);
  assert.equal((await store.check({ readData: true })).ok, true);
  assert.deepEqual(Object.keys(await readDirectory(store, record.root.tree)), ['a', 'b', 'x']);
});

test('an ended writer takes nothing more', async () => {
  const store = await makeTestStore(openMemoryBackend());
  const packed = packDirectory(home);
  const writer = await store.openWriter();
  await addDirectory(writer, packed);
  await writer.seal(testRecord(packed.root, 1));
  const bytes = testBytes(9, 10);
  await assert.rejects(async () => writer.addBlock(blockOf(bytes), bytes), { code: 'E_BAD_INPUT' });
  await assert.rejects(writer.seal(testRecord(packed.root, 2)), { code: 'E_BAD_INPUT' });
  await writer.abandon();
});

test('a failed write is told by every later call, and by whoever waits', async () => {
  const backend = openMemoryBackend();
  await makeTestStore(backend);
  const store = await openTestStore(openFaultyBackend(backend, 0), { packBytes: 10_000 });
  const writer = await store.openWriter();
  const add = async (seed: number) => {
    const bytes = testBytes(seed, 6000);
    await writer.addBlock(blockOf(bytes), bytes);
  };
  await Promise.allSettled(Array.from({ length: 20 }, (_, seed) => add(seed)));
  await assert.rejects(add(100), { code: 'E_NO_SPACE' });
  await assert.rejects(writer.flush(), { code: 'E_NO_SPACE' });
  await assert.rejects(writer.seal(testRecord(packDirectory(home).root, 1)), { code: 'E_NO_SPACE' });
  await writer.abandon();
  assert.equal(packsOf(backend).length, 0);
});

test('two writers at once, of two processes, seal two snapshots', async () => {
  const backend = openMemoryBackend();
  await makeTestStore(backend);
  const take = async (number: number) => {
    const directory = { shared: [testBytes(1, 9000)], own: { file: [testBytes(100 + number, 9000)] } };
    await takeTestSnapshot(await openTestStore(backend, { packBytes: 5000 }), directory, number);
    return directory;
  };
  const directories = await Promise.all([take(1), take(2), take(3), take(4)]);
  const store = await openTestStore(backend);
  const records = await store.listSnapshots();
  for (const [position, directory] of directories.entries()) {
    const record = records[position];
    assert.ok(record);
    assert.deepEqual(await readDirectory(store, record.root.tree), directory);
  }
  assert.equal((await store.check({ readData: true })).ok, true);
});

test('an opened store sees what others seal later', async () => {
  const backend = openMemoryBackend();
  const clock = { nowMs: () => 0, monotonicMs: () => (now += 2000) };
  let now = 0;
  const reader = await makeTestStore(backend, { clock });
  const record = await takeTestSnapshot(await openTestStore(backend), home, 1);
  assert.deepEqual(await reader.listSnapshots(), [record]);
  assert.deepEqual(await readDirectory(reader, record.root.tree), home);
});

test('index files stay few, however many snapshots are taken', async () => {
  const backend = openMemoryBackend();
  const store = await makeTestStore(backend);
  for (let number = 1; number <= 30; number++) {
    await takeTestSnapshot(store, { file: [testBytes(number, 100)] }, number);
  }
  const names = [...backend.files.keys()].filter((name) => name.startsWith('indexes/'));
  assert.ok(names.length <= 18, `${names.length} index files`);
  const reader = await openTestStore(backend);
  assert.deepEqual(reader.notices, []);
  for (const { root } of await reader.listSnapshots()) await readDirectory(reader, root.tree);
  assert.equal((await reader.check({ readData: true })).findings.length, 0);
});
