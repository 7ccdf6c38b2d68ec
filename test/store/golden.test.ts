/** Stores of every format version that was ever written can be read (`write-golden.ts` wrote them). */
import assert from 'node:assert/strict';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openLocalBackend } from '../../src/store/local-backend.ts';
import { openStore } from '../../src/store/store.ts';
import { goldenDirectories, goldenPassword } from './golden-content.ts';
import { readDirectory, takeTestSnapshot, testBytes, testDomain } from './store-fixture.ts';

const golden = (version: string) => fileURLToPath(new URL(`golden/${version}`, import.meta.url));

test('a store of version 1 opens, is sound, and has its snapshots', async () => {
  const store = await openStore({ backend: openLocalBackend(golden('v1')), password: goldenPassword });
  assert.deepEqual(store.domain, testDomain);
  assert.deepEqual(store.notices, []);
  const records = await store.listSnapshots();
  assert.deepEqual(
    records.map(({ client, timeNs }) => ({ client, timeNs })),
    [
      { client: 'laptop', timeNs: 1_000_000_000n },
      { client: 'laptop', timeNs: 2_000_000_000n },
    ],
  );
  for (const [position, { root }] of records.entries()) {
    assert.deepEqual(await readDirectory(store, root.tree), goldenDirectories[position]);
  }
  assert.deepEqual((await store.check({ readData: true })).findings, []);
});

test('a store of version 1 takes a further snapshot, which reuses its blocks', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'covault-golden-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  await cp(golden('v1'), directory, { recursive: true });
  const store = await openStore({ backend: openLocalBackend(directory), password: goldenPassword });
  const blocks = (await store.statistics()).blocks;
  const content = { old: goldenDirectories[0] ?? {}, new: [testBytes(50, 100)] };
  const { root } = await takeTestSnapshot(store, content, 3);
  assert.deepEqual(await readDirectory(store, root.tree), content);
  assert.equal((await store.statistics()).blocks, blocks + 1);
  assert.deepEqual((await store.check({ readData: true })).findings, []);
});
