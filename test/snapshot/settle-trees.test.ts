/** Snapshots of which blocks are missing: what is left out, and what is said of it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type Digest, type DigestKey, digestKey } from '../../src/core/digest.ts';
import { CovaultError } from '../../src/core/errors.ts';
import { decodeRecipe, isBlock } from '../../src/core/recipe.ts';
import { decodeTree, encodeTree } from '../../src/core/tree.ts';
import { ObjectCache } from '../../src/snapshot/object-cache.ts';
import { settleTrees } from '../../src/snapshot/settle-trees.ts';
import { testBytes, testDigester } from '../store/store-fixture.ts';
import { blockBytes, type Files, packFiles } from './fake-client.ts';

/** A store of objects and blocks in memory; `complete` are those of earlier snapshots. */
class MemorySink {
  readonly objects = new Map<DigestKey, Uint8Array>();
  readonly complete = new Set<DigestKey>();
  readonly blocks = new Set<DigestKey>();

  hasBlock(digest: Digest): boolean {
    return this.blocks.has(digestKey(digest));
  }

  hasObject(_kind: string, digest: Digest): boolean {
    return this.complete.has(digestKey(digest));
  }

  async readObject(kind: string, digest: Digest): Promise<Uint8Array> {
    const bytes = this.objects.get(digestKey(digest));
    if (!bytes) throw new CovaultError('E_NOT_FOUND', `no ${kind}`);
    return bytes;
  }

  async addObject(_kind: string, digest: Digest, bytes: Uint8Array): Promise<void> {
    this.objects.set(digestKey(digest), bytes);
    this.complete.add(digestKey(digest));
  }
}

const path = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 4 }).map((names) => names.join('/'));

/** Files of 0 to 8 blocks at paths of which none lies below another; equal seeds are equal contents. */
const files: fc.Arbitrary<Files> = fc
  .array(fc.record({ path, seed: fc.nat(6), length: fc.nat(8 * blockBytes) }), { maxLength: 20 })
  .map((items) => new Map(items.map((item) => [`${item.path}/file`, testBytes(item.seed, item.length)])));

async function filesOf(sink: MemorySink, root: Digest): Promise<Map<string, number | undefined>> {
  const found = new Map<string, number | undefined>();
  const visit = async (tree: Digest, prefix: string): Promise<void> => {
    for (const entry of decodeTree(await sink.readObject('tree', tree))) {
      const name = prefix + Buffer.from(entry.name).toString();
      if (entry.kind === 'directory') await visit(entry.tree, `${name}/`);
      if (entry.kind !== 'file') continue;
      if ('missing' in entry.content) {
        found.set(name, undefined);
        continue;
      }
      const segments =
        'segments' in entry.content
          ? entry.content.segments
          : decodeRecipe(await sink.readObject('recipe', entry.content.recipe)).segments;
      for (const segment of segments) {
        assert.ok(isBlock(segment) && sink.hasBlock(segment.digest), `${name} has a block that is not there`);
      }
      found.set(name, entry.size);
    }
  };
  await visit(root, '');
  return found;
}

describe('settling the trees of a snapshot', () => {
  test('leaves out exactly the files of which a block is missing, and names them', async () => {
    await fc.assert(
      fc.asyncProperty(files, fc.infiniteStream(fc.integer({ min: 0, max: 9 })), async (some, dice) => {
        const packed = packFiles(some, testDigester);
        const sink = new MemorySink();
        const cache = new ObjectCache(sink, testDigester);
        for (const bytes of packed.trees.values()) await cache.add('tree', bytes);
        for (const bytes of packed.recipes.values()) await cache.add('recipe', bytes);
        for (const key of packed.blocks.keys()) if (dice.next().value !== 0) sink.blocks.add(key);
        const expected = new Map<string, number | undefined>();
        for (const [name, content] of some) {
          const blocks = packFiles(new Map([['x', content]]), testDigester).blocks;
          const whole = [...blocks.keys()].every((key) => sink.blocks.has(key));
          expected.set(name, whole ? content.byteLength : undefined);
        }
        const settled = await settleTrees(packed.root, { objects: cache, sink });
        assert.deepEqual(
          new Map([...(await filesOf(sink, settled.root.tree))].toSorted()),
          new Map([...expected].toSorted()),
        );
        const missing = [...expected].filter(([, size]) => size === undefined).map(([name]) => name);
        assert.deepEqual(settled.missing.map((gap) => Buffer.from(gap.path).toString()).toSorted(), missing.toSorted());
        assert.equal(settled.files, some.size);
        assert.equal(
          settled.bytes,
          [...expected.values()].reduce<number>((sum, size) => sum + (size ?? 0), 0),
        );
        if (missing.length === 0) assert.deepEqual(settled.root, packed.root);
      }),
    );
  });

  test('counts what earlier snapshots have without looking at their blocks', async () => {
    const some: Files = new Map([
      ['old/file', testBytes(1, 10 * blockBytes)],
      ['new', testBytes(2, 100)],
    ]);
    const packed = packFiles(some, testDigester);
    const sink = new MemorySink();
    for (const [key, bytes] of [...packed.trees, ...packed.recipes]) sink.objects.set(key, bytes);
    const old = decodeTree(packed.trees.get(digestKey(packed.root.tree)) as Uint8Array).find(
      (entry) => entry.kind === 'directory',
    );
    assert.ok(old?.kind === 'directory');
    sink.complete.add(digestKey(old.tree));
    for (const [key, bytes] of packed.blocks) if (bytes.byteLength === 100) sink.blocks.add(key);
    const settled = await settleTrees(packed.root, { objects: new ObjectCache(sink, testDigester), sink });
    assert.deepEqual(settled, { root: packed.root, files: 2, bytes: 10 * blockBytes + 100, missing: [] });
  });

  test('counts a tree that is there many times over each time, and fails when that is beyond counting', async () => {
    const sink = new MemorySink();
    const cache = new ObjectCache(sink, testDigester);
    const nested = async (levels: number) => {
      const leaf = packFiles(new Map([['file', testBytes(1, 10)]]), testDigester);
      for (const key of leaf.blocks.keys()) sink.blocks.add(key);
      let root = leaf.root;
      for (const bytes of leaf.trees.values()) await cache.add('tree', bytes);
      for (let level = 0; level < levels; level++) {
        const entries = ['a', 'b'].map((name) => ({ ...root, name: Buffer.from(name) }));
        root = { ...root, tree: await cache.add('tree', encodeTree(entries)) };
      }
      return settleTrees(root, { objects: cache, sink });
    };
    const settled = await nested(20);
    assert.equal(settled.files, 2 ** 20);
    assert.equal(settled.bytes, 10 * 2 ** 20);
    await assert.rejects(nested(60), { code: 'E_TOO_LARGE' });
  });
});
