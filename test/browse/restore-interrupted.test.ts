/** Restores that are interrupted and continued. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { RestoreOptions } from '../../src/browse/restore.ts';
import { setTimes } from '../../src/fs/native.ts';
import { assertIsModel, temporaryDirectory } from './model-on-disk.ts';
import { block, paths, restore, snapshotOf, stagingIsGone } from './restore-sample.ts';
import { directory, file, type ModelDirectory, nodesOf, treeArbitrary } from './tree-model.ts';

describe('an interrupted restore', () => {
  /** Restores `model` into `target`, stopped at the block number `stopAt`. */
  async function interrupted(
    model: ModelDirectory,
    target: string,
    stopAt: number,
    options: Partial<RestoreOptions> = {},
  ) {
    const restored = snapshotOf(model);
    const controller = new AbortController();
    let count = 0;
    restored.store.beforeBlock = () => {
      count += 1;
      if (count === stopAt) controller.abort();
    };
    await assert.rejects(restore(restored, target, { ...options, signal: controller.signal }), {
      code: 'E_INTERRUPTED',
      hint: /again/,
    });
    restored.store.beforeBlock = () => undefined;
    restored.store.blockReads.length = 0;
    return restored;
  }

  /** Many files, so that some are done when it stops. */
  function many(): ModelDirectory {
    const children = Object.fromEntries(
      Array.from({ length: 700 }, (_, n) => [`f${String(n).padStart(3, '0')}`, file([block(n, 600 + n)])]),
    );
    const linked = file('linked');
    return directory({ ...children, a: linked, z: linked, sub: directory(children, { mode: 0o500 }) });
  }

  it('continues: only what is not there yet is fetched', async (t) => {
    const target = join(temporaryDirectory(t), 'out');
    const restored = await interrupted(many(), target, 600);
    const there = readdirSync(target).filter((name) => !name.startsWith('.')).length;
    assert.ok(there > 300 && there < 700, `${there} files are there`);
    const result = await restore(restored, target);
    assert.equal(result.exceptionCount, 0);
    assert.ok(result.alreadyThere >= 300);
    assert.ok(restored.store.blockReads.length < 500, `${restored.store.blockReads.length} blocks are fetched`);
    assertIsModel(target, many());
  });

  it('never shows a file under its name that is not complete', async (t) => {
    const target = join(temporaryDirectory(t), 'out');
    await interrupted(many(), target, 300);
    for (const [path, node] of nodesOf(many())) {
      if (node.kind !== 'file' || !existsSync(join(target, path))) continue;
      assert.equal(lstatSync(join(target, path), { bigint: true }).mtimeNs, node.mtimeNs);
      assert.equal(readFileSync(join(target, path)).byteLength, Buffer.concat(node.parts as Uint8Array[]).byteLength);
    }
  });

  it('is stopped at any block and continued any number of times', async (t) => {
    const top = temporaryDirectory(t);
    let number = 0;
    await fc.assert(
      fc.asyncProperty(
        treeArbitrary,
        fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 4 }),
        async (model, stops) => {
          number += 1;
          const target = join(top, `${number}`);
          const restored = snapshotOf(model);
          for (const stopAt of stops) {
            const controller = new AbortController();
            let left = stopAt;
            restored.store.beforeBlock = () => {
              left -= 1;
              if (left <= 0) controller.abort();
            };
            const options = { signal: controller.signal, existing: 'replace' as const };
            await restore(restored, target, options).catch((error) => assert.equal(error.code, 'E_INTERRUPTED'));
          }
          restored.store.beforeBlock = () => undefined;
          assert.equal((await restore(restored, target, { existing: 'replace' })).exceptionCount, 0);
          assertIsModel(target, model);
        },
      ),
      { numRuns: 25 },
    );
  });

  it('is not mixed with another one', async (t) => {
    const target = join(temporaryDirectory(t), 'out');
    const restored = await interrupted(many(), target, 20);
    const other = restored.store.add('laptop', 5n, directory({ x: file('x') }));
    for (const existing of ['refuse', 'replace', 'keep'] as const) {
      const another = restore({ store: restored.store, snapshot: other }, target, { existing });
      await assert.rejects(another, { code: 'E_EXISTS', hint: /finish/ });
      await assert.rejects(restore(restored, target, { paths: paths('sub'), existing }), { code: 'E_EXISTS' });
    }
  });

  it('is not continued while it runs in another process', async (t) => {
    const target = join(temporaryDirectory(t), 'out');
    const restored = await interrupted(many(), target, 20);
    const path = join(target, '.covault-restore/note.json');
    const note = JSON.parse(readFileSync(path, 'utf8'));
    const start = readFileSync('/proc/1/stat', 'utf8').split(') ')[1]?.split(' ')[19];
    writeFileSync(path, JSON.stringify({ ...note, process: `1@${start}` }));
    await assert.rejects(restore(restored, target), { code: 'E_BUSY' });
    writeFileSync(path, JSON.stringify({ ...note, process: '1@1234567' }));
    assert.equal((await restore(restored, target)).exceptionCount, 0);
  });

  it('trusts no file that a restart of the machine may have emptied', async (t) => {
    const target = join(temporaryDirectory(t), 'out');
    const restored = await interrupted(many(), target, 600);
    const path = join(target, '.covault-restore/note.json');
    writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), bootId: 'another' }));
    const { mtimeNs } = lstatSync(join(target, 'f001'), { bigint: true });
    writeFileSync(join(target, 'f001'), new Uint8Array(601));
    setTimes(join(target, 'f001'), undefined, mtimeNs);
    const result = await restore(restored, target);
    assert.equal(result.alreadyThere, 0);
    assertIsModel(target, many());
  });

  it('into a directory with entries gives its own directories their attributes, and no others', async (t) => {
    const target = join(temporaryDirectory(t), 'out');
    mkdirSync(join(target, 'old'), { recursive: true, mode: 0o700 });
    chmodSync(join(target, 'old'), 0o700);
    const model = directory({
      made: directory({ x: file([block(1)]), y: file([block(2)]) }, { mode: 0o751 }),
      old: directory({ x: file([block(3)]), y: file([block(4)]) }, { mode: 0o751 }),
    });
    const restored = await interrupted(model, target, 4, { existing: 'keep' });
    assert.equal((await restore(restored, target, { existing: 'keep' })).exceptionCount, 0);
    assert.equal(lstatSync(join(target, 'made')).mode & 0o7777, 0o751);
    assert.equal(lstatSync(join(target, 'old')).mode & 0o7777, 0o700);
    assert.ok(stagingIsGone(target));
  });
});
