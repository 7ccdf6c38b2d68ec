/** Restoring snapshots that are damaged, hostile or incomplete. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { digestKey } from '../../src/core/digest.ts';
import { encodeTree, type TreeEntry } from '../../src/core/tree.ts';
import { MemoryStore } from './memory-store.ts';
import { assertIsModel, temporaryDirectory } from './model-on-disk.ts';
import { block, restore, sample, snapshotOf } from './restore-sample.ts';
import { attributes, directory, file, type ModelDirectory, symlink } from './tree-model.ts';

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
      const rest = kind === 'file' ? { size: 0, content: { segments: [] } } : { target: Buffer.from('/') };
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
    symlinkSync('/', join(target, '.covault-restore'));
    await assert.rejects(restore(snapshotOf(sample()), target), { code: 'E_EXISTS' });
  });
});

function order(result: { exceptions: { path: Uint8Array }[] }, path: string): number {
  return result.exceptions.findIndex((one) => Buffer.from(one.path).toString() === path);
}
