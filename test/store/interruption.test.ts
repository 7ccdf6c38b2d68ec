/** Cut off at any change it makes, a store keeps every sealed snapshot whole, lists none half-made, and loses no pack. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { packHash } from '../../src/store/layout.ts';
import { openFaultyBackend } from './faulty-backend.ts';
import { type MemoryBackend, openMemoryBackend } from './memory-backend.ts';
import {
  addDirectory,
  type Directory,
  makeTestStore,
  openTestStore,
  packDirectory,
  readDirectory,
  testBytes,
  testRecord,
} from './store-fixture.ts';

const packBytes = 4000;

/** Directories of up to three levels over few different blocks, so that they share many. */
const directories: fc.Arbitrary<Directory> = fc.letrec<{ directory: Directory; file: Uint8Array[] }>((tie) => ({
  file: fc.array(
    fc.nat(30).map((seed) => testBytes(seed, 100 + seed * 40, seed % 2 === 0 ? 256 : 8)),
    { maxLength: 7 },
  ),
  directory: fc.dictionary(
    fc.constantFrom('a', 'b', 'c', 'd', 'e'),
    fc.oneof({ depthSize: 'small', maxDepth: 3 }, tie('file'), tie('directory')),
    { noNullPrototype: true },
  ),
})).directory;

async function seal(
  backend: Parameters<typeof openTestStore>[0],
  directory: Directory,
  number: number,
): Promise<number> {
  const store = await openTestStore(backend, { packBytes });
  const packed = packDirectory(directory);
  const writer = await store.openWriter();
  const added = await addDirectory(writer, packed);
  await writer.seal(testRecord(packed.root, number));
  return added;
}

async function checkAll(backend: MemoryBackend, expected: ReadonlyMap<number, Directory>): Promise<number[]> {
  const store = await openTestStore(backend);
  const listed: number[] = [];
  for (const record of await store.listSnapshots()) {
    const number = Number.parseInt(record.id, 16);
    listed.push(number);
    assert.deepEqual(await readDirectory(store, record.root.tree), expected.get(number), `snapshot ${number}`);
  }
  const report = await store.check({ readData: true });
  assert.deepEqual(
    report.findings.filter(({ severity }) => severity === 'damage'),
    [],
  );
  return listed;
}

/** @returns whether the second snapshot was made in spite of the interruption. */
async function interrupt(first: Directory, second: Directory, changes: number, torn: boolean): Promise<boolean> {
  const backend = openMemoryBackend();
  await makeTestStore(backend);
  await seal(backend, first, 1);
  const before = new Set(backend.files.keys());
  const error = await seal(openFaultyBackend(backend, changes, torn), second, 2).then(
    () => undefined,
    (reason: Error & { code?: string }) => reason.code,
  );
  assert.ok(error === undefined || error === 'E_NO_SPACE', `failed with ${error}`);
  const expected = new Map([
    [1, first],
    [2, second],
    [3, second],
  ]);
  const listed = await checkAll(backend, expected);
  const isSealed = listed.includes(2);
  assert.ok(listed.includes(1) && (error !== undefined || isSealed));

  const packs = [...backend.files.keys()].filter((name) => packHash(name) !== undefined && !before.has(name));
  const reopened = await openTestStore(backend);
  const missing = [...packDirectory(second).blocks.values()].filter(({ digest }) => !reopened.hasBlock(digest)).length;
  assert.equal(await seal(backend, second, 3), missing, `only what is in none of ${packs.length} packs comes again`);
  assert.deepEqual(await checkAll(backend, expected), isSealed ? [1, 2, 3] : [1, 3]);
  return error === undefined;
}

const small: Directory = { a: [testBytes(1, 3000)], b: { c: [testBytes(2, 3000, 8)] } };
const large: Directory = {
  ...small,
  b: { d: Array.from({ length: 12 }, (_, seed) => testBytes(seed, 900)) },
  e: { f: { g: [testBytes(40, 2000)], h: [testBytes(41, 2500)] } },
};

for (const torn of [false, true]) {
  test(`a snapshot cut off ${torn ? 'just after' : 'before'} each of its changes leaves a sound store`, async () => {
    let changes = 0;
    while (!(await interrupt(small, large, changes, torn))) changes++;
    assert.ok(changes >= 5, `${changes} changes`);
  });
}

test('any two snapshots, cut off anywhere, leave a sound store', async () => {
  await fc.assert(
    fc.asyncProperty(directories, directories, fc.nat(12), fc.boolean(), async (first, second, changes, torn) => {
      await interrupt(first, second, changes, torn);
    }),
    { numRuns: 40 },
  );
});

test('a store cut off while it is made can be made again', async () => {
  for (const changes of [0, 1]) {
    for (const torn of [false, true]) {
      const backend = openMemoryBackend();
      await assert.rejects(makeTestStore(openFaultyBackend(backend, changes, torn)), { code: 'E_NO_SPACE' });
      if (changes === 1 && torn) await assert.rejects(makeTestStore(backend), { code: 'E_EXISTS' });
      else await makeTestStore(backend);
      assert.deepEqual(await (await openTestStore(backend)).listSnapshots(), []);
    }
  }
});

test('index files cut off while they are made anew lose nothing', async () => {
  const backend = openMemoryBackend();
  await makeTestStore(backend);
  await seal(backend, small, 1);
  await seal(backend, large, 2);
  const files = new Map(backend.files);
  for (let changes = 0; changes < 8; changes++) {
    const copy = openMemoryBackend();
    for (const [name, bytes] of files) copy.files.set(name, bytes);
    const store = await openTestStore(openFaultyBackend(copy, changes, changes % 2 === 0));
    await store.rebuildIndex().catch((error: Error & { code?: string }) => assert.equal(error.code, 'E_NO_SPACE'));
    assert.deepEqual(
      await checkAll(
        copy,
        new Map([
          [1, small],
          [2, large],
        ]),
      ),
      [1, 2],
    );
  }
});
