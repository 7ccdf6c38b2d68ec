/** Restoring a snapshot, whole or in part, as root and as somebody else. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { compareTrees } from '../../src/browse/compare-trees.ts';
import { assertIsModel, temporaryDirectory, writeModel } from './model-on-disk.ts';
import { paths, restore, sample, snapshotOf } from './restore-sample.ts';
import { directory, file, isRoot, type ModelDirectory, nodesOf, treeArbitrary } from './tree-model.ts';

describe('restoring a snapshot', () => {
  it('makes whatever was in it, as it was', async (t) => {
    const top = temporaryDirectory(t);
    let number = 0;
    await fc.assert(
      fc.asyncProperty(treeArbitrary, async (model) => {
        number += 1;
        const [target, expected] = [join(top, `${number}`), join(top, `model${number}`)];
        const result = await restore(snapshotOf(model), target);
        assert.deepEqual(result.exceptions, []);
        assert.equal(result.entries, [...nodesOf(model)].length);
        assertIsModel(target, model);
        writeModel(expected, model);
        assert.deepEqual((await compareTrees(target, expected)).differences, []);
      }),
      { numRuns: 40 },
    );
  });

  it('fetches each block once, in the order of storage, and keeps holes', async (t) => {
    const target = join(temporaryDirectory(t), 'out');
    const restored = snapshotOf(sample());
    // The order in which this store claims to be packed: by the bytes of the digests.
    const store = Object.assign(restored.store, {
      readOrder: (digest: Uint8Array) => Buffer.from(digest).readUIntBE(0, 6),
    });
    const result = await restore(restored, target);
    assertIsModel(target, sample());
    assert.equal(new Set(store.blockReads).size, store.blockReads.length, 'no block is fetched twice');
    assert.deepEqual(store.blockReads, [...store.blockReads].sort(), 'in ascending order');
    assert.equal(result.bytesWritten, 5 + 5 * 5000 + 2 * 5000 + 5000 + 8);
    const stats = lstatSync(join(target, 'docs/b.bin'));
    assert.equal(stats.size, 5 * 5000 + 100_007);
    assert.ok(stats.blocks * 512 < 80_000, `${stats.blocks} blocks of 512 bytes are allocated`);
  });

  it('reports progress up to the size of everything', async (t) => {
    const seen: number[] = [];
    await restore(snapshotOf(sample()), join(temporaryDirectory(t), 'out'), {
      onProgress: ({ bytes }) => seen.push(bytes),
    });
    assert.deepEqual(
      seen,
      [...seen].sort((a, b) => a - b),
    );
    assert.equal(seen.at(-1), 5 + 125_007 + 2 * 10_000 + 5000 + 8);
  });

  it('restores chosen paths to their places below the target', async (t) => {
    const target = join(temporaryDirectory(t), 'out');
    const result = await restore(snapshotOf(sample()), target, {
      paths: paths('docs/a.txt', '/deep//er/', 'odd\xff\n', 'docs/a.txt'),
    });
    assert.equal(result.exceptionCount, 0);
    const { docs, deep, ...rest } = Object.fromEntries(sample().children);
    assert.ok(docs?.kind === 'directory' && deep?.kind === 'directory');
    const expected = directory({ deep, 'odd\xff\n': rest['odd\xff\n'] as typeof docs, docs: { ...docs } });
    (expected.children.get('docs') as ModelDirectory).children = new Map([
      ['a.txt', docs.children.get('a.txt') as typeof docs],
    ]);
    const { mode, uid, gid, mtimeNs } = topAttributes(target);
    assertIsModel(target, { ...expected, mode, uid, gid, mtimeNs });
  });

  it('says which path does not exist and makes nothing', async (t) => {
    const target = join(temporaryDirectory(t), 'out');
    for (const path of ['docs/c.txt', 'link/x', 'zero/y', 'nowhere/deep/down']) {
      await assert.rejects(restore(snapshotOf(sample()), target, { paths: paths('docs', path) }), {
        code: 'E_NOT_FOUND',
        message: new RegExp(path.split('/')[0] as string),
      });
    }
    await assert.rejects(restore(snapshotOf(sample()), target, { paths: paths('docs/../..') }), {
      code: 'E_BAD_INPUT',
    });
    assert.ok(!existsSync(target));
  });

  it('replaces nothing in a directory that is not empty unless it is told to', async (t) => {
    const target = temporaryDirectory(t);
    writeFileSync(join(target, 'mine'), 'mine');
    const before = lstatSync(target, { bigint: true }).mtimeNs;
    await assert.rejects(restore(snapshotOf(sample()), target), { code: 'E_EXISTS' });
    assert.deepEqual(readdirSync(target), ['mine']);
    assert.equal(lstatSync(target, { bigint: true }).mtimeNs, before);
    await assert.rejects(restore(snapshotOf(sample()), join(target, 'mine')), { code: 'E_EXISTS' });
    await assert.rejects(restore(snapshotOf(sample()), join(target, 'a/b')), { code: 'E_NOT_FOUND' });
  });

  it('refuses to restore into the store, also by way of a symlink', async (t) => {
    const top = temporaryDirectory(t);
    mkdirSync(join(top, 'store/packs'), { recursive: true });
    symlinkSync('store', join(top, 'alias'));
    for (const target of ['store', 'store/new', 'alias/packs/x', 'alias']) {
      await assert.rejects(restore(snapshotOf(sample()), join(top, target), { keepOut: [join(top, 'store')] }), {
        code: 'E_BAD_INPUT',
      });
    }
    assert.deepEqual(readdirSync(join(top, 'store')), ['packs']);
    await restore(snapshotOf(directory()), join(top, 'store-not'), { keepOut: [join(top, 'store')] });
  });

  it('takes its own names only where the snapshot does not use them', async (t) => {
    const target = join(temporaryDirectory(t), 'out');
    const model = directory({ '.covault-restore': directory({ '1': file('one'), 'note.json': file('{}') }) });
    assert.equal((await restore(snapshotOf(model), target)).exceptionCount, 0);
    assertIsModel(target, model);
  });
});

function topAttributes(path: string): { mode: number; uid: number; gid: number; mtimeNs: bigint } {
  const stats = lstatSync(path, { bigint: true });
  return {
    mode: Number(stats.mode & 0o7777n),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    mtimeNs: stats.mtimeNs,
  };
}

describe('restoring as somebody else', { skip: !isRoot && 'only root can become somebody else' }, () => {
  it('leaves out what only root may do, says so, and continues in directories that it closed', async (t) => {
    const top = temporaryDirectory(t);
    chmodSync(top, 0o777);
    const target = join(top, 'out');
    const run = promisify(execFile);
    const script = new URL('restore-as-nobody.ts', import.meta.url).pathname;
    const { stdout } = await run(process.execPath, [script, target], { uid: 65534, gid: 65534, env: {} });
    const { first, second } = JSON.parse(stdout);
    assert.equal(first, 'E_INTERRUPTED');
    assert.deepEqual(second.exceptions, [
      ['device', 'only root may make device nodes'],
      ['foreign', 'setuid or setgid left out, because the owner differs'],
    ]);
    assert.equal(second.foreignOwners, 2);
    assert.equal(lstatSync(join(target, 'foreign')).mode & 0o7777, 0o755);
    assert.equal(lstatSync(join(target, 'foreign')).uid, 65534);
    assert.equal(lstatSync(join(target, 'mine')).mode & 0o7777, 0o4755);
    assert.equal(lstatSync(join(target, 'closed')).mode & 0o7777, 0);
    assert.equal(lstatSync(join(target, 'closer')).mode & 0o7777, 0o500);
    assert.equal(readdirSync(join(target, 'closed')).length, 300);
    assert.ok(second.alreadyThere >= 300, `${second.alreadyThere} were there`);
  });
});
