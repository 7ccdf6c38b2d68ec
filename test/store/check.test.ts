/** A check finds and names every damage, says which paths it costs, and goes on; what was lost can be pulled again. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestHex } from '../../src/core/digest.ts';
import type { CheckReport } from '../../src/store/check-report.ts';
import { deriveStoreKeys } from '../../src/store/keys.ts';
import { packHash } from '../../src/store/layout.ts';
import { PackBuilder } from '../../src/store/pack-builder.ts';
import { type MemoryBackend, openMemoryBackend } from './memory-backend.ts';
import {
  type Directory,
  makeTestStore,
  openTestStore,
  readDirectory,
  takeTestSnapshot,
  testBytes,
  testDigester,
} from './store-fixture.ts';

const song = Array.from({ length: 9 }, (_, position) => testBytes(100 + position, 1000));
const home: Directory = {
  music: { song },
  notes: [testBytes(1, 500)],
  docs: { a: [testBytes(2, 700), testBytes(3, 700)], b: [testBytes(2, 700)] },
};

/** Blocks in one pack, objects in one pack; `next` shares all but one file with `home`. */
async function makeSample(): Promise<MemoryBackend> {
  const backend = openMemoryBackend();
  const store = await makeTestStore(backend);
  await takeTestSnapshot(store, home, 1);
  await takeTestSnapshot(store, { ...home, notes: [testBytes(4, 600)] }, 2);
  return backend;
}

function namesOf(backend: MemoryBackend, folder: string): string[] {
  return [...backend.files.keys()].filter((name) => name.startsWith(folder));
}

/** The pack that a block or object is in: the pack that makes it unreadable when it is gone. */
async function packWith(backend: MemoryBackend, kind: 'block' | 'tree', digest: Uint8Array): Promise<string> {
  for (const name of namesOf(backend, 'packs/')) {
    const bytes = backend.files.get(name) as Uint8Array;
    backend.files.delete(name);
    const store = await openTestStore(backend);
    const isGone =
      kind === 'block'
        ? !store.hasBlock(digest)
        : await store.readObject('tree', digest).then(
            () => false,
            () => true,
          );
    backend.files.set(name, bytes);
    if (isGone) return name;
  }
  throw new Error('no pack has it');
}

function flip(backend: MemoryBackend, name: string, at: number): void {
  const bytes = Uint8Array.from(backend.files.get(name) as Uint8Array);
  const position = at < 0 ? bytes.byteLength + at : at;
  bytes[position] = (bytes[position] as number) ^ 4;
  backend.files.set(name, bytes);
}

async function check(backend: MemoryBackend, readData = false): Promise<CheckReport> {
  return (await openTestStore(backend)).check({ readData });
}

function damages(report: CheckReport): string[] {
  return report.findings.filter(({ severity }) => severity === 'damage').map(({ file }) => file);
}

function paths(report: CheckReport): string[] {
  const all = report.findings.flatMap(({ affected }) =>
    affected.map(({ snapshot, path }) => `${Number.parseInt(snapshot, 16)}:${Buffer.from(path).toString()}`),
  );
  return [...new Set(all)].sort();
}

const digestOf = (bytes: Uint8Array) => testDigester.digest(bytes);

test('a sound store has no findings, and every byte of its packs was read', async () => {
  const backend = await makeSample();
  const progress: string[] = [];
  const report = await (await openTestStore(backend)).check({
    readData: true,
    onProgress: ({ stage, done, total }) => progress.push(`${stage} ${done}/${total}`),
  });
  assert.deepEqual(report.findings, []);
  assert.equal(report.ok, true);
  assert.deepEqual([report.packs, report.blocks, report.snapshots], [4, 13, 2]);
  const packs = namesOf(backend, 'packs/').map((name) => backend.files.get(name)?.byteLength ?? 0);
  assert.equal(
    report.bytesRead,
    packs.reduce((sum, bytes) => sum + bytes),
  );
  assert.deepEqual(
    progress,
    [1, 2, 3, 4].map((done) => `packs ${done}/4`).concat(['snapshots 0/2', 'snapshots 1/2', 'snapshots 2/2']),
  );
});

test('a truncated pack is named, with every path it costs, and its snapshots otherwise stay readable', async () => {
  const backend = await makeSample();
  const name = await packWith(backend, 'block', digestOf(song[8] as Uint8Array));
  const bytes = backend.files.get(name) as Uint8Array;
  backend.files.set(name, bytes.subarray(0, bytes.byteLength - 300));
  const report = await check(backend);
  assert.deepEqual(damages(report), [name]);
  assert.match(report.findings[0]?.message ?? '', /instead of/);
  assert.deepEqual(paths(report), [
    '1:docs/a',
    '1:docs/b',
    '1:music/song',
    '1:notes',
    '2:docs/a',
    '2:docs/b',
    '2:music/song',
  ]);
  const store = await openTestStore(backend);
  assert.equal(store.hasBlock(digestOf(song[0] as Uint8Array)), false, 'it will be pulled again');
  assert.deepEqual(await store.readBlock(digestOf(song[0] as Uint8Array)), song[0], 'what is there can be read');
  assert.equal(store.notices[0]?.file, name);
});

test('a missing pack is named, with every path it costs', async () => {
  const backend = await makeSample();
  const name = await packWith(backend, 'block', digestOf(testBytes(4, 600)));
  backend.files.delete(name);
  const report = await check(backend, true);
  assert.deepEqual(damages(report), [name]);
  assert.match(report.findings[0]?.message ?? '', /is missing/);
  assert.deepEqual(paths(report), ['2:notes']);
  const store = await openTestStore(backend);
  await assert.rejects(store.readBlock(digestOf(testBytes(4, 600))), { code: 'E_CORRUPT', message: new RegExp(name) });
});

test('a flipped bit in a block is found by reading all data, with the paths of that block alone', async () => {
  const backend = await makeSample();
  const name = await packWith(backend, 'block', digestOf(testBytes(2, 700)));
  flip(backend, name, 64 + 10);
  assert.equal((await check(backend)).ok, true, 'structure alone does not show it');
  const report = await check(backend, true);
  assert.deepEqual(damages(report), [name]);
  assert.match(report.findings[0]?.message ?? '', /1 of 12 entries/);
  assert.equal(paths(report).length > 0 && paths(report).length <= 4, true, paths(report).join());
});

test('a flipped bit in header, trailer or footer is found without reading data, and costs no path', async () => {
  for (const at of [3, 9, 10, 20, 40, -1, -10, -14, -20, -60]) {
    const backend = await makeSample();
    const name = await packWith(backend, 'block', digestOf(song[0] as Uint8Array));
    flip(backend, name, at);
    for (const readData of [false, true]) {
      const report = await check(backend, readData);
      assert.deepEqual(damages(report), [name], `byte ${at}`);
      assert.deepEqual(paths(report), [], `byte ${at}`);
    }
    const store = await openTestStore(backend);
    const [record] = await store.listSnapshots();
    assert.deepEqual(await readDirectory(store, record?.root.tree as Uint8Array), home);
  }
});

test('a damaged tree costs its directory in every snapshot that has it', async () => {
  const backend = await makeSample();
  const store = await openTestStore(backend);
  const [first] = await store.listSnapshots();
  const name = await packWith(backend, 'tree', first?.root.tree as Uint8Array);
  // Objects of the first snapshot: the root's tree stands first.
  flip(backend, name, 64 + 5);
  const report = await check(backend);
  assert.deepEqual(damages(report), [name]);
  assert.deepEqual(paths(report), ['1:']);
  await assert.rejects(readDirectory(await openTestStore(backend), first?.root.tree as Uint8Array), {
    code: 'E_CORRUPT',
  });
});

test('missing and damaged index files change nothing but are told, and can be made anew', async () => {
  const sample = await makeSample();
  for (const damage of ['delete', 'flip', 'truncate'] as const) {
    const backend = openMemoryBackend();
    for (const [name, bytes] of sample.files) backend.files.set(name, bytes);
    for (const name of namesOf(backend, 'indexes/')) {
      if (damage === 'delete') backend.files.delete(name);
      else if (damage === 'flip') flip(backend, name, 100);
      else backend.files.set(name, (backend.files.get(name) as Uint8Array).subarray(0, 80));
    }
    const store = await openTestStore(backend);
    for (const { root } of await store.listSnapshots()) await readDirectory(store, root.tree);
    const report = await check(backend, true);
    assert.equal(damages(report).length, damage === 'delete' ? 0 : 4);
    assert.ok(report.findings.some(({ message }) => /packs of blocks are in no index file/.test(message)));
    assert.deepEqual(paths(report), []);
    await store.rebuildIndex();
    assert.deepEqual((await check(backend, true)).findings, []);
  }
});

test('foreign files are named, and are no damage', async () => {
  const backend = await makeSample();
  backend.files.set('Thumbs.db', Buffer.from('x'));
  backend.files.set('packs/ab/notes', Buffer.from('x'));
  backend.files.set('snapshots/readme', Buffer.from('x'));
  const report = await check(backend, true);
  assert.equal(report.ok, true);
  assert.deepEqual(report.findings.map(({ file }) => file).sort(), ['Thumbs.db', 'packs/ab/notes', 'snapshots/readme']);
});

test("another store's pack is named", async () => {
  const backend = await makeSample();
  const builder = new PackBuilder('blocks', deriveStoreKeys(testBytes(1, 32), testBytes(2, 16)));
  const body = testBytes(1, 10);
  builder.add({ digest: digestOf(body), kind: 'block', rawBytes: 10, compressed: false, body });
  const { contents, chunks } = builder.finish();
  const name = `packs/${contents.hash.slice(0, 2)}/${contents.hash}`;
  backend.files.set(name, Buffer.concat(chunks));
  const report = await check(backend);
  assert.deepEqual(damages(report), [name]);
  assert.match(report.findings[0]?.message ?? '', /another store/);
});

test('a damaged record is named, and the other snapshots are still listed', async () => {
  const backend = await makeSample();
  const [name = ''] = namesOf(backend, 'snapshots/');
  flip(backend, name, 90);
  const store = await openTestStore(backend);
  assert.equal((await store.listSnapshots()).length, 1);
  assert.deepEqual(
    store.notices.map(({ file }) => file),
    [name],
  );
  assert.deepEqual(damages(await store.check()), [name]);
});

test('a damaged config is told at opening, and by a check of a store that is open', async () => {
  const backend = await makeSample();
  const store = await openTestStore(backend);
  flip(backend, 'config', 70);
  assert.deepEqual(damages(await store.check()), ['config']);
  await assert.rejects(openTestStore(backend), { code: 'E_CORRUPT', message: /config/ });
});

test('a damaged key is told apart from a wrong password', async () => {
  const backend = await makeSample();
  const store = await openTestStore(backend);
  await assert.rejects(
    openTestStore(backend, { password: 'wrong' }),
    (error: Error & { code?: string; hint?: string }) => {
      assert.equal(error.code, 'E_AUTH');
      assert.ok(error.hint);
      return true;
    },
  );
  const [name = ''] = namesOf(backend, 'keys/');
  flip(backend, name, 80);
  await assert.rejects(openTestStore(backend), { code: 'E_CORRUPT', message: new RegExp(name) });
  await assert.rejects(openTestStore(backend, { password: 'wrong' }), { code: 'E_CORRUPT' });
  assert.deepEqual(damages(await store.check()), [name]);
  backend.files.delete(name);
  await assert.rejects(openTestStore(backend), { code: 'E_CORRUPT', message: /no usable key/ });
});

test('many damages at once are all named', async () => {
  const backend = await makeSample();
  const store = await openTestStore(backend);
  const spoiled = [
    'config',
    ...namesOf(backend, 'keys/'),
    ...namesOf(backend, 'indexes/').slice(0, 1),
    ...namesOf(backend, 'packs/'),
    ...namesOf(backend, 'snapshots/').slice(0, 1),
  ];
  for (const name of spoiled) flip(backend, name, -3);
  const report = await store.check({ readData: true });
  assert.equal(report.ok, false);
  const named = new Set(damages(report));
  for (const name of spoiled) assert.ok(named.has(name), name);
});

test('what a lost pack held is pulled again by the next snapshot, which is whole', async () => {
  for (const victim of [0, 1, 2, 3]) {
    const backend = await makeSample();
    const name = namesOf(backend, 'packs/').sort()[victim] as string;
    backend.files.delete(name);
    const record = await takeTestSnapshot(await openTestStore(backend), home, 3);
    const store = await openTestStore(backend);
    assert.deepEqual(await readDirectory(store, record.root.tree), home);
    assert.equal(
      (await store.check({ readData: true })).findings.some(({ affected }) =>
        affected.some(({ snapshot }) => snapshot.endsWith('3')),
      ),
      false,
    );
    await store.rebuildIndex();
    const after = await (await openTestStore(backend)).check({ readData: true });
    assert.equal(
      after.findings.some(({ file }) => file === name),
      false,
      'a lost pack is forgotten by new index files',
    );
    assert.deepEqual(await readDirectory(await openTestStore(backend), record.root.tree), home);
  }
});

test('a check stops when asked to', async () => {
  const store = await openTestStore(await makeSample());
  await assert.rejects(store.check({ signal: AbortSignal.abort() }), { code: 'E_INTERRUPTED' });
});

test('pack names are hashes that any tool can verify', async () => {
  const backend = await makeSample();
  const { createHash } = await import('node:crypto');
  for (const name of namesOf(backend, 'packs/')) {
    assert.equal(
      createHash('sha256')
        .update(backend.files.get(name) as Uint8Array)
        .digest('hex'),
      packHash(name),
    );
  }
});

test('a block that two packs hold is read from the other when one is lost', async () => {
  const backend = openMemoryBackend();
  await makeTestStore(backend);
  const stores = await Promise.all([openTestStore(backend), openTestStore(backend)]);
  const writers = await Promise.all(stores.map((store) => store.openWriter()));
  const bytes = testBytes(1, 900);
  for (const writer of writers) await writer.addBlock({ digest: digestOf(bytes), length: 900 }, bytes);
  for (const writer of writers) await writer.flush();
  const packs = namesOf(backend, 'packs/');
  assert.equal(packs.length, 2);
  for (const lost of packs) {
    const kept = backend.files.get(lost) as Uint8Array;
    backend.files.delete(lost);
    const store = await openTestStore(backend);
    assert.ok(store.hasBlock(digestOf(bytes)), digestHex(digestOf(bytes)));
    assert.deepEqual(await store.readBlock(digestOf(bytes)), bytes);
    backend.files.set(lost, kept);
  }
});

test('a pack of which neither trailer nor index file can be read is pulled again', async () => {
  const backend = openMemoryBackend();
  const store = await makeTestStore(backend);
  await takeTestSnapshot(store, home, 1);
  // The objects stay listed; the blocks are lost twice over.
  const pack = await packWith(backend, 'block', digestOf(song[0] as Uint8Array));
  flip(backend, pack, -1);
  for (const name of namesOf(backend, 'indexes/')) {
    const kept = backend.files.get(name) as Uint8Array;
    backend.files.delete(name);
    if (!(await openTestStore(backend)).hasBlock(digestOf(song[0] as Uint8Array))) break;
    backend.files.set(name, kept);
  }
  const again = await openTestStore(backend);
  assert.equal(again.hasBlock(digestOf(song[0] as Uint8Array)), false);
  const { root } = await takeTestSnapshot(again, home, 2);
  assert.deepEqual(await readDirectory(await openTestStore(backend), root.tree), home);
});
