/** Browsing and restoring a store on disk, also one with a damaged pack. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, truncateSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { restoreSnapshot } from '../../src/browse/restore.ts';
import { TreeView } from '../../src/browse/tree-view.ts';
import { defaultCutParameters } from '../../src/core/domain.ts';
import { openLocalBackend } from '../../src/store/local-backend.ts';
import { createStore, type Store } from '../../src/store/store.ts';
import { MemoryStore, testDigestKey } from './memory-store.ts';
import { assertIsModel, temporaryDirectory } from './model-on-disk.ts';
import { contentOf, directory, file, type ModelDirectory } from './tree-model.ts';

const cheapKdf = { memoryKiB: 64, passes: 1, parallelism: 1 };

/** A store in a directory with one snapshot of `model`. */
async function storeWith(t: TestContext, model: ModelDirectory): Promise<{ store: Store; path: string }> {
  const path = join(temporaryDirectory(t), 'store');
  mkdirSync(path);
  const domain = { id: 'd'.repeat(32), digestKey: testDigestKey, cut: defaultCutParameters };
  const options = { backend: openLocalBackend(path), password: 'password', domain, kdf: cheapKdf, packBytes: 200_000 };
  const store = await createStore(options);
  t.after(() => store.close());
  const memory = new MemoryStore();
  memory.add('laptop', 1_795_348_800_000_000_000n, model);
  const writer = await store.openWriter();
  await memory.copyInto(writer);
  return { store, path };
}

/** Files with contents that do not compress, in packs of their own. */
function sample(): ModelDirectory {
  const noise = (seed: number) => createHash('shake256', { outputLength: 50_000 }).update(`${seed}`).digest();
  const linked = file([noise(1), noise(2)]);
  return directory({
    first: file(Array.from({ length: 12 }, (_, which) => noise(which + 10))),
    second: file([noise(30), 400_000, noise(31), noise(10), noise(32), noise(33)]),
    sub: directory({ linked, small: file('small') }, { mode: 0o711 }),
    linked,
  });
}

describe('a store on disk', () => {
  it('is restored as it was copied', async (t) => {
    const { store } = await storeWith(t, sample());
    const target = join(temporaryDirectory(t), 'out');
    const [snapshot] = await store.listSnapshots();
    assert.ok(snapshot);
    const result = await restoreSnapshot({ reader: store, snapshot, target });
    assert.deepEqual(result.exceptions, []);
    assertIsModel(target, sample());
  });

  it('is shown as it was copied', async (t) => {
    const { store } = await storeWith(t, sample());
    const view = new TreeView(store);
    let node = 1n;
    for (const name of ['laptop', '2026-11-22T12-00-00Z', 'second']) {
      node = (await view.lookup(node, Buffer.from(name)))?.node ?? 0n;
    }
    const { size } = await view.attributes(node);
    const second = sample().children.get('second');
    assert.ok(second?.kind === 'file');
    assert.ok(contentOf(second).equals(await view.read(node, 0, size)));
  });

  it('gives what its damaged packs still have and names the rest', async (t) => {
    const { store, path } = await storeWith(t, sample());
    const packs = readdirSync(path, { recursive: true, encoding: 'utf8' })
      .filter((name) => /pack/.test(name))
      .map((name) => join(path, name));
    const sizes = await Promise.all(packs.map(async (pack) => ({ pack, stats: await stat(pack) })));
    const full = sizes.filter(({ stats }) => stats.isFile() && stats.size > 150_000);
    assert.ok(full.length >= 3, `${full.length} packs of blocks`);
    truncateSync((full[0] as { pack: string }).pack, 1000);
    const target = join(temporaryDirectory(t), 'out');
    const [snapshot] = await store.listSnapshots();
    assert.ok(snapshot);
    const result = await restoreSnapshot({ reader: store, snapshot, target });
    assert.ok(result.exceptionCount > 0);
    const named = new Set(result.exceptions.map(({ path: where }) => Buffer.from(where).toString()));
    const expected = sample();
    for (const name of named) {
      const parent = name.startsWith('sub/') ? (expected.children.get('sub') as ModelDirectory) : expected;
      assert.ok(parent.children.delete(name.replace('sub/', '')), `${name} is an entry`);
    }
    assert.ok(named.size < 5, 'something is left');
    assertIsModel(target, expected);
  });
});
