/** Writing contents in batches that are smaller than files, with failures in between. */
import assert from 'node:assert/strict';
import { existsSync, fstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ContentWriter } from '../../src/browse/restore-content.ts';
import { SnapshotObjects } from '../../src/browse/snapshot-objects.ts';
import { digestKey } from '../../src/core/digest.ts';
import { MemoryStore } from './memory-store.ts';
import { temporaryDirectory } from './model-on-disk.ts';
import { contentOf, directory, fileArbitrary, type ModelFile } from './tree-model.ts';

/** The recipes of `files`, all in one directory of a snapshot. */
async function recipesOf(store: MemoryStore, files: readonly ModelFile[]) {
  const children = Object.fromEntries(files.map((file, number) => [`f${String(number).padStart(3, '0')}`, file]));
  const record = store.add('laptop', 0n, directory(children));
  const objects = new SnapshotObjects(store);
  const tree = await objects.tree(record.root.tree);
  return Promise.all(tree.map((entry) => (entry.kind === 'file' ? objects.recipe(entry) : assert.fail())));
}

const bounds = fc.record({ filesMax: fc.integer({ min: 1, max: 4 }), blocksMax: fc.integer({ min: 1, max: 5 }) });

describe('writing contents', () => {
  it('makes each file whole and says so once, whatever the size of a batch', async (t) => {
    const top = temporaryDirectory(t);
    let number = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(fileArbitrary, { maxLength: 8 }), bounds, async (files, sizes) => {
        number += 1;
        const store = new MemoryStore();
        const recipes = await recipesOf(store, files);
        let bytes = 0;
        const told: number[] = [];
        const writer = new ContentWriter(store, { ...sizes, onWritten: (count) => (bytes += count) });
        const paths = files.map((_, which) => Buffer.from(join(top, `${number}-${which}`)));
        for (const [which, recipe] of recipes.entries()) {
          const path = paths[which] as Buffer;
          const written = (fd: number) => {
            assert.equal(fstatSync(fd).size, recipe.size);
            told.push(which);
          };
          await writer.add({ recipe, path, written, failed: (reason) => assert.fail(reason) });
        }
        await writer.flush();
        assert.deepEqual(
          told.sort((a, b) => a - b),
          files.map((_, which) => which),
        );
        for (const [which, file] of files.entries()) {
          assert.ok(contentOf(file).equals(readFileSync(paths[which] as Buffer)), `file ${which}`);
        }
        const lengths = files.flatMap(({ parts }) => parts.map((part) => (typeof part === 'number' ? 0 : part.length)));
        assert.equal(
          bytes,
          lengths.reduce((sum, length) => sum + length, 0),
        );
      }),
      { numRuns: 40 },
    );
  });

  it('fails exactly the files that have a bad block, and leaves nothing open', async (t) => {
    const top = temporaryDirectory(t);
    let number = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fileArbitrary, { minLength: 1, maxLength: 8 }),
        bounds,
        fc.nat(),
        async (files, sizes, pick) => {
          number += 1;
          const store = new MemoryStore();
          const recipes = await recipesOf(store, files);
          const keys = [...store.blocks.keys()];
          const bad = keys[pick % Math.max(1, keys.length)];
          if (bad !== undefined) store.blocks.delete(bad);
          const before = readdirSync('/proc/self/fd').length;
          const outcome = new Map<number, 'written' | 'failed'>();
          const writer = new ContentWriter(store, { ...sizes, onWritten: () => undefined });
          for (const [which, recipe] of recipes.entries()) {
            const path = Buffer.from(join(top, `${number}-${which}`));
            const written = () => void outcome.set(which, 'written');
            await writer.add({ recipe, path, written, failed: () => void outcome.set(which, 'failed') });
          }
          await writer.flush();
          for (const [which, { segments }] of recipes.entries()) {
            const isBad = segments.some(({ digest }) => digest !== undefined && digestKey(digest) === bad);
            assert.equal(outcome.get(which), isBad ? 'failed' : 'written');
          }
          assert.equal(readdirSync('/proc/self/fd').length, before);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('never writes into what is there', async (t) => {
    const top = temporaryDirectory(t);
    const store = new MemoryStore();
    const [recipe] = await recipesOf(store, [{ ...directory(), kind: 'file', parts: [Buffer.from('x')] }]);
    assert.ok(recipe);
    const reasons: string[] = [];
    const writer = new ContentWriter(store, { onWritten: () => undefined });
    const path = Buffer.from(top);
    await writer.add({ recipe, path, written: () => assert.fail(), failed: (reason) => reasons.push(reason) });
    await writer.flush();
    assert.deepEqual(reasons, ['EEXIST']);
    assert.ok(existsSync(top));
  });
});
