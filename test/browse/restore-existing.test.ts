/** Restoring into a directory that has entries already. */
import assert from 'node:assert/strict';
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { listXattrs, writeXattr } from '../../src/fs/native.ts';
import { assertIsModel, temporaryDirectory, writeModel } from './model-on-disk.ts';
import { restore, snapshotOf, stagingIsGone } from './restore-sample.ts';
import { directory, file, type ModelDirectory, symlink } from './tree-model.ts';

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
