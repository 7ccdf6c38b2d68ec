/** Index files made anew say the same as those that were lost. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestHex } from '../../src/core/digest.ts';
import { eachRow, readIndexFile } from '../../src/store/index-file.ts';
import { openMasterKey } from '../../src/store/key-ring.ts';
import { deriveStoreKeys } from '../../src/store/keys.ts';
import { type MemoryBackend, openMemoryBackend } from './memory-backend.ts';
import {
  addDirectory,
  makeTestStore,
  openTestStore,
  packDirectory,
  readDirectory,
  takeTestSnapshot,
  testBytes,
  testPassword,
} from './store-fixture.ts';

/** Everything that the index files say, in order. */
async function indexed(backend: MemoryBackend, storeId: string): Promise<string[]> {
  const id = Buffer.from(storeId, 'hex');
  const keys = deriveStoreKeys(await openMasterKey(backend, id, testPassword), id);
  const said: string[] = [];
  for (const { name } of await backend.list('indexes/')) {
    for (const pack of await readIndexFile(backend, keys, name)) {
      for (const { digest, kind, compressed, offset, storedBytes, rawBytes } of eachRow(pack, name)) {
        said.push([pack.hash, kind, digestHex(digest), compressed, offset, storedBytes, rawBytes].join(' '));
      }
    }
  }
  return said.sort();
}

async function makeSample() {
  const backend = openMemoryBackend();
  const store = await makeTestStore(backend, { packBytes: 3000 });
  for (let number = 1; number <= 5; number++) {
    const long = Array.from({ length: 6 }, (_, position) => testBytes(number * 10 + position, 700));
    await takeTestSnapshot(
      store,
      { same: [testBytes(1, 2000)], sub: { long, text: [testBytes(number, 900, 5)] } },
      number,
    );
  }
  return { backend, store };
}

test('they say the same as those that were written along with the packs', async () => {
  const { backend, store } = await makeSample();
  const before = await indexed(backend, store.id);
  assert.ok(before.length > 40);
  for (const name of [...backend.files.keys()]) if (name.startsWith('indexes/')) backend.files.delete(name);
  const report = await (await openTestStore(backend)).rebuildIndex();
  assert.deepEqual(await indexed(backend, store.id), before);
  assert.deepEqual(report.notices, []);
  assert.equal(report.blocks + report.objects, before.length);
});

test('they replace all older ones, and the store goes on working', async () => {
  const { backend, store } = await makeSample();
  const before = await indexed(backend, store.id);
  const report = await store.rebuildIndex();
  assert.equal((await backend.list('indexes/')).length, report.indexFiles);
  assert.ok(report.indexFiles <= 2);
  assert.deepEqual(await indexed(backend, store.id), before);
  await takeTestSnapshot(store, { more: [testBytes(99, 100)] }, 9);
  assert.deepEqual((await store.check({ readData: true })).findings, []);
});

test('objects that no sealed snapshot has are not listed as complete', async () => {
  const { backend, store } = await makeSample();
  const before = await indexed(backend, store.id);
  const writer = await store.openWriter();
  const packed = packDirectory({ half: [testBytes(77, 10)] });
  await addDirectory(writer, packed);
  await writer.abandon();
  await (await openTestStore(backend)).rebuildIndex();
  const after = await indexed(backend, store.id);
  assert.equal(after.length, before.length + packed.blocks.size);
  const next = await (await openTestStore(backend)).openWriter();
  assert.equal(next.hasObject('tree', packed.root.tree), false);
  assert.ok([...packed.blocks.values()].every(({ digest }) => next.hasBlock(digest)));
});

test('a snapshot that misses something is named, and none of its objects count as complete', async () => {
  const { backend, store } = await makeSample();
  const lastPack = [...backend.files.keys()].filter((name) => name.startsWith('packs/')).at(-1) as string;
  backend.files.delete(lastPack);
  const reopened = await openTestStore(backend);
  const report = await reopened.rebuildIndex();
  assert.match(report.notices.map(({ message }) => message).join(), /is not in the store/);
  const writer = await reopened.openWriter();
  const last = (await store.listSnapshots()).at(-1);
  assert.equal(writer.hasObject('tree', last?.root.tree as Uint8Array), false);
});

test('packs with a damaged trailer stay known by what the old index files said', async () => {
  const { backend, store } = await makeSample();
  const before = await indexed(backend, store.id);
  const packs = [...backend.files.keys()].filter((name) => name.startsWith('packs/'));
  for (const name of packs) {
    const bytes = Uint8Array.from(backend.files.get(name) as Uint8Array);
    bytes[bytes.byteLength - 1] = 0;
    backend.files.set(name, bytes);
  }
  const report = await (await openTestStore(backend)).rebuildIndex();
  assert.equal(report.notices.length, packs.length);
  assert.deepEqual(await indexed(backend, store.id), before);
  const reopened = await openTestStore(backend);
  for (const { root } of await reopened.listSnapshots()) await readDirectory(reopened, root.tree);
});
