import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { compareTrees } from '../../src/browse/compare-trees.ts';
import { type RestoreOptions, restoreSnapshot } from '../../src/browse/restore.ts';
import { digestKey } from '../../src/core/digest.ts';
import type { SnapshotRecord } from '../../src/core/snapshot.ts';
import { encodeTree, type TreeEntry } from '../../src/core/tree.ts';
import { listXattrs, setTimes, writeXattr } from '../../src/fs/native.ts';
import { MemoryStore } from './memory-store.ts';
import { assertIsModel, temporaryDirectory, writeModel } from './model-on-disk.ts';
import {
  attributes,
  directory,
  file,
  isRoot,
  type ModelDirectory,
  nodesOf,
  symlink,
  treeArbitrary,
} from './tree-model.ts';

function snapshotOf(model: ModelDirectory): { store: MemoryStore; snapshot: SnapshotRecord } {
  const store = new MemoryStore();
  return { store, snapshot: store.add('laptop', 0n, model) };
}

function restore(
  { store, snapshot }: { store: MemoryStore; snapshot: SnapshotRecord },
  target: string,
  options: Partial<RestoreOptions> = {},
) {
  return restoreSnapshot({ reader: store, snapshot, target, ...options });
}

function paths(...all: string[]): Uint8Array[] {
  return all.map((path) => Buffer.from(path, 'latin1'));
}

const block = (number: number, bytes = 5000) => new Uint8Array(bytes).fill(number);

/** A tree that takes many blocks to restore. */
function sample(): ModelDirectory {
  const linked = file([block(1), block(2)]);
  return directory(
    {
      docs: directory(
        {
          'a.txt': file('first', { mode: 0o600 }),
          'b.bin': file([block(3), 100_000, block(4), block(3), 7, block(5), block(6)], { mode: 0o444 }),
          linked,
        },
        { mode: 0o750, mtimeNs: 1_600_000_000_000_000_007n },
      ),
      deep: directory({ er: directory({ linked, last: file([block(7)]) }, { mode: 0o555 }) }),
      empty: directory(),
      link: symlink('../outside'),
      pipe: { ...attributes({ mode: 0o640 }), kind: 'fifo' },
      socket: { ...attributes({ mode: 0o600 }), kind: 'socket' },
      'odd\xff\n': file('odd name', { xattrs: [{ name: Buffer.from('user.a'), value: Buffer.from([0, 255]) }] }),
      zero: file(''),
    },
    { mode: 0o711, mtimeNs: -5n },
  );
}

function stagingIsGone(target: string): boolean {
  return readdirSync(target).every((name) => !name.startsWith('.covault'));
}

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

describe('restoring into a directory with entries', () => {
  const model = () =>
    directory(
      {
        same: file('same'),
        other: file('from the snapshot'),
        sub: directory({ inner: file('inner') }, { mode: 0o700 }),
        wasFile: directory({ x: file('x') }),
        wasDirectory: file('file'),
        new: file('new'),
        link: symlink('target'),
      },
      { mode: 0o701 },
    );

  /** A target that agrees in part. */
  function prepare(target: string): void {
    writeModel(
      target,
      directory({
        same: file('same'),
        other: file('mine'),
        sub: directory({ own: file('own') }, { mode: 0o755 }),
        wasFile: file('a file'),
        wasDirectory: directory({ precious: file('precious') }),
        link: symlink('elsewhere'),
        extra: file('extra'),
      }),
    );
  }

  it('keeps what is there and names what differs', async (t) => {
    const target = join(temporaryDirectory(t), 'out');
    prepare(target);
    const result = await restore(snapshotOf(model()), target, { existing: 'keep' });
    assert.deepEqual(result.exceptions.map(({ path }) => Buffer.from(path).toString()).sort(), [
      'link',
      'other',
      'wasDirectory',
      'wasFile',
    ]);
    assert.equal(readFileSync(join(target, 'other'), 'utf8'), 'mine');
    assert.equal(readFileSync(join(target, 'wasDirectory/precious'), 'utf8'), 'precious');
    assert.equal(readFileSync(join(target, 'wasFile'), 'utf8'), 'a file');
    assert.equal(readlinkSync(join(target, 'link')), 'elsewhere');
    assert.equal(readFileSync(join(target, 'new'), 'utf8'), 'new');
    assert.equal(readFileSync(join(target, 'sub/inner'), 'utf8'), 'inner');
    assert.equal(lstatSync(join(target, 'sub')).mode & 0o7777, 0o755, 'directories keep their attributes');
    assert.equal(lstatSync(target).mode & 0o7777, 0o755);
    assert.equal(result.alreadyThere, 1);
    assert.ok(stagingIsGone(target));
  });

  it('replaces files when told to, never a directory, and leaves what is not in the snapshot', async (t) => {
    const target = join(temporaryDirectory(t), 'out');
    prepare(target);
    const result = await restore(snapshotOf(model()), target, { existing: 'replace' });
    assert.deepEqual(
      result.exceptions.map(({ path }) => Buffer.from(path).toString()),
      ['wasDirectory'],
    );
    const expected = model();
    const sub = expected.children.get('sub') as ModelDirectory;
    sub.children.set('own', file('own'));
    expected.children.set('wasDirectory', directory({ precious: file('precious') }));
    expected.children.set('extra', file('extra'));
    assertIsModel(target, expected);
  });

  it('does not follow symlinks that stand in the way', async (t) => {
    const top = temporaryDirectory(t);
    for (const existing of ['keep', 'replace'] as const) {
      const [target, outside] = [join(top, existing), join(top, `${existing}-outside`)];
      mkdirSync(target);
      mkdirSync(outside);
      writeFileSync(join(outside, 'f'), 'untouched');
      symlinkSync(outside, join(target, 'sub'));
      symlinkSync(join(outside, 'f'), join(target, 'other'));
      await restore(snapshotOf(model()), target, { existing });
      assert.deepEqual(readdirSync(outside), ['f']);
      assert.equal(readFileSync(join(outside, 'f'), 'utf8'), 'untouched');
      assert.equal(lstatSync(join(target, 'other')).isSymbolicLink(), existing === 'keep');
      assert.equal(lstatSync(join(target, 'sub')).isDirectory(), existing === 'replace');
    }
  });

  it('makes further names of linked files out of what is there', async (t) => {
    const target = join(temporaryDirectory(t), 'out');
    const linked = file('linked');
    const all = directory({ a: linked, b: linked, c: linked });
    writeModel(target, directory({ a: file('linked'), c: file('another') }));
    const kept = await restore(snapshotOf(all), target, { existing: 'keep' });
    assert.deepEqual(
      kept.exceptions.map(({ path }) => Buffer.from(path).toString()),
      ['c'],
    );
    assert.equal(lstatSync(join(target, 'a')).ino, lstatSync(join(target, 'b')).ino);
    assert.equal((await restore(snapshotOf(all), target, { existing: 'replace' })).exceptionCount, 0);
    assertIsModel(target, all);
  });

  it('gives new entries no access control list that the directory would hand down', async (t) => {
    const target = join(temporaryDirectory(t), 'out');
    mkdirSync(target);
    // A default list for a further user: owner, user 1, group, mask, others.
    const list = Buffer.from(
      '0200000001000700ffffffff0200070001000000040005' + '00ffffffff10000700ffffffff20000500ffffffff',
      'hex',
    );
    writeXattr(target, 'system.posix_acl_default', list);
    writeFileSync(join(target, 'extra'), '');
    const whole = directory({ sub: directory({ f: file('f', { mode: 0o640 }) }, { mode: 0o750 }), g: file('g') });
    const result = await restore(snapshotOf(whole), target, { existing: 'keep' });
    assert.equal(result.exceptionCount, 0);
    for (const path of ['sub', 'sub/f', 'g']) assert.deepEqual(listXattrs(join(target, path)), [], path);
    assert.equal(lstatSync(join(target, 'sub')).mode & 0o7777, 0o750);
    assert.equal(lstatSync(join(target, 'sub/f')).mode & 0o7777, 0o640);
    assert.equal(listXattrs(target).length, 1, 'the directory keeps its own');
  });

  it('restores access control lists', async (t) => {
    const target = join(temporaryDirectory(t), 'out');
    const access = Buffer.from(
      '0200000001000600ffffffff0200040001000000040004' + '00ffffffff10000400ffffffff20000000ffffffff',
      'hex',
    );
    const acl = (name: string) => [{ name: Buffer.from(`system.posix_acl_${name}`), value: access }];
    const model_ = directory({
      f: file('f', { mode: 0o640, xattrs: acl('access') }),
      d: directory({ inner: file('plain') }, { mode: 0o750, xattrs: acl('default') }),
    });
    assert.equal((await restore(snapshotOf(model_), target)).exceptionCount, 0);
    assertIsModel(target, model_);
  });
});

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

describe('restoring what is damaged or hostile', () => {
  it('names what cannot be restored and restores the rest', async (t) => {
    const target = join(temporaryDirectory(t), 'out');
    const restored = snapshotOf(sample());
    const { store } = restored;
    store.blocks.delete(digestKey(store.addBlock(block(2))));
    store.blocks.set(digestKey(store.addBlock(block(5))), block(9));
    const result = await restore(restored, target);
    assert.deepEqual(
      result.exceptions.map(({ path, reason }) => [
        Buffer.from(path).toString(),
        /missing|damaged|further name/.test(reason),
      ]),
      [
        ['docs/b.bin', true],
        ['docs/linked', true],
        ['deep/er/linked', true],
      ].sort((a, b) => order(result, a[0] as string) - order(result, b[0] as string)),
    );
    assert.ok(!existsSync(join(target, 'docs/b.bin')), 'no wrong file is left');
    const expected = sample();
    (expected.children.get('docs') as ModelDirectory).children.delete('b.bin');
    (expected.children.get('docs') as ModelDirectory).children.delete('linked');
    ((expected.children.get('deep') as ModelDirectory).children.get('er') as ModelDirectory).children.delete('linked');
    assertIsModel(target, expected);
  });

  it('names a file that was stored without its content', async (t) => {
    const target = join(temporaryDirectory(t), 'out');
    const store = new MemoryStore();
    const entry: TreeEntry = {
      ...file(''),
      kind: 'file',
      name: Buffer.from('busy'),
      size: 9,
      content: { missing: true },
    };
    const tree = store.addObject(encodeTree([entry]));
    const snapshot = store.addRecord('laptop', 0n, {
      ...directory(),
      kind: 'directory',
      name: new Uint8Array(0),
      tree,
    });
    const { exceptions, entries } = await restore({ store, snapshot }, target);
    assert.equal(entries, 0);
    assert.match(exceptions[0]?.reason ?? '', /made without the content/);
    assert.deepEqual(readdirSync(target), []);
  });

  it('creates nothing outside, whatever the trees say', async (t) => {
    const top = temporaryDirectory(t);
    const store = new MemoryStore();
    const hostile = (name: string, kind: 'file' | 'symlink') => {
      const rest = kind === 'file' ? { size: 0, content: { segments: [] } } : { target: Buffer.from('/tmp') };
      return store.addObject(encodeTree([{ ...attributes(), kind, name: Buffer.from(name), ...rest } as TreeEntry]));
    };
    const trees = ['..', '.', '', '../x', 'a/b', 'x\0y'].map((name) => hostile(name, 'file'));
    for (const [number, tree] of trees.entries()) {
      const target = join(top, `out${number}`);
      const sub: TreeEntry = { ...attributes({ mode: 0o755 }), kind: 'directory', name: Buffer.from('sub'), tree };
      const whole = store.addObject(encodeTree([sub]));
      const root = { ...directory(), kind: 'directory' as const, name: new Uint8Array(0), tree: whole };
      const { exceptions } = await restore({ store, snapshot: store.addRecord('laptop', 0n, root) }, target);
      assert.deepEqual(
        exceptions.map(({ path }) => Buffer.from(path).toString()),
        ['sub'],
      );
      assert.deepEqual(readdirSync(target), ['sub']);
      assert.deepEqual(readdirSync(join(target, 'sub')), []);
    }
    assert.equal(readdirSync(top).length, trees.length);
  });

  it('never writes through a symlink that it restored itself', async (t) => {
    const top = temporaryDirectory(t);
    mkdirSync(join(top, 'outside'));
    const store = new MemoryStore();
    // Two snapshots: the first leaves a symlink where the second one has a directory.
    const first = store.add('laptop', 0n, directory({ sub: symlink(join(top, 'outside')) }));
    const second = store.add('laptop', 1n, directory({ sub: directory({ evil: file('evil') }) }));
    const target = join(top, 'out');
    await restore({ store, snapshot: first }, target);
    await restore({ store, snapshot: second }, target, { existing: 'replace' });
    assert.deepEqual(readdirSync(join(top, 'outside')), []);
    assert.equal(readFileSync(join(target, 'sub/evil'), 'utf8'), 'evil');
  });

  it('names entries with values that no file system takes', async (t) => {
    const target = join(temporaryDirectory(t), 'out');
    const store = new MemoryStore();
    const huge: TreeEntry = {
      ...attributes(),
      kind: 'file',
      name: Buffer.from('huge'),
      size: Number.MAX_SAFE_INTEGER,
      content: { segments: [{ length: Number.MAX_SAFE_INTEGER }] },
    };
    const nowhere: TreeEntry = {
      ...attributes(),
      kind: 'symlink',
      name: Buffer.from('nowhere'),
      target: Buffer.from(''),
    };
    const zero: TreeEntry = {
      ...attributes(),
      kind: 'symlink',
      name: Buffer.from('zero'),
      target: Buffer.from('a\0b'),
    };
    const fine: TreeEntry = { ...attributes(), kind: 'symlink', name: Buffer.from('fine'), target: Buffer.from('x') };
    const tree = store.addObject(encodeTree([huge, nowhere, zero, fine]));
    const snapshot = store.addRecord('laptop', 0n, {
      ...directory(),
      kind: 'directory',
      name: new Uint8Array(0),
      tree,
    });
    const { exceptions } = await restore({ store, snapshot }, target);
    assert.deepEqual(exceptions.map(({ path }) => Buffer.from(path).toString()).sort(), ['huge', 'nowhere', 'zero']);
    assert.deepEqual(readdirSync(target), ['fine']);
  });

  it('leaves a damaged note alone and says so', async (t) => {
    const target = temporaryDirectory(t);
    mkdirSync(join(target, '.covault-restore'), { mode: 0o700 });
    writeFileSync(join(target, '.covault-restore/note.json'), '{"version":');
    await assert.rejects(restore(snapshotOf(sample()), target), { code: 'E_CORRUPT' });
    rmSync(join(target, '.covault-restore'), { recursive: true });
    mkdirSync(join(target, '.covault-restore'), { mode: 0o755 });
    chmodSync(join(target, '.covault-restore'), 0o755);
    await assert.rejects(restore(snapshotOf(sample()), target), { code: 'E_EXISTS' });
    rmSync(join(target, '.covault-restore'), { recursive: true });
    symlinkSync('/tmp', join(target, '.covault-restore'));
    await assert.rejects(restore(snapshotOf(sample()), target), { code: 'E_EXISTS' });
  });
});

function order(result: { exceptions: { path: Uint8Array }[] }, path: string): number {
  return result.exceptions.findIndex((one) => Buffer.from(one.path).toString() === path);
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
