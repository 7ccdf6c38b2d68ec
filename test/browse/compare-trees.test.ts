/** Comparing directories: finds each kind of difference, and none where there is none. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  lchownSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type Aspect, type CompareOptions, compareTrees } from '../../src/browse/compare-trees.ts';
import { makeNode, removeXattr, setTimes, writeXattr } from '../../src/fs/native.ts';
import { temporaryDirectory, writeModel } from './model-on-disk.ts';
import { attributes, directory, file, isRoot, type ModelDirectory, symlink, treeArbitrary } from './tree-model.ts';

/** One of everything. */
function sample(): ModelDirectory {
  const linked = file('linked');
  return directory({
    'plain.txt': file('some content', { xattrs: [{ name: Buffer.from('user.note'), value: Buffer.from('x') }] }),
    'long.bin': file([new Uint8Array(3_000_000).fill(7)]),
    empty: file(''),
    one: linked,
    two: linked,
    sub: directory({ deep: directory({ three: linked, leaf: file('leaf') }) }),
    link: symlink('plain.txt'),
    pipe: { ...attributes(), kind: 'fifo' },
    socket: { ...attributes(), kind: 'socket' },
    ...(isRoot ? { null: { ...attributes(), kind: 'char', rdev: 0x103n } } : {}),
    'not\xff utf8': file('odd'),
  });
}

/** Differences after `change` was applied to the second of two equal directories, as "path aspect". */
async function differencesAfter(
  t: Parameters<typeof temporaryDirectory>[0],
  change: (b: string) => void,
  options: CompareOptions = {},
): Promise<string[]> {
  const top = temporaryDirectory(t);
  const [a, b] = [join(top, 'a'), join(top, 'b')];
  writeModel(a, sample());
  writeModel(b, sample());
  change(b);
  const result = await compareTrees(a, b, options);
  assert.equal(result.identical, result.differenceCount === 0);
  return result.differences.map(({ path, aspect }) => `${Buffer.from(path).toString('latin1')} ${aspect}`).sort();
}

/** Undoes what a change in a directory does to the directory itself. */
function settle(path: string): void {
  setTimes(path, undefined, attributes().mtimeNs);
}

const single: { what: string; change: (b: string) => void; found: string[] }[] = [
  { what: 'permission bits', change: (b) => chmodSync(join(b, 'empty'), 0o600), found: ['empty mode'] },
  { what: 'the sticky bit', change: (b) => chmodSync(join(b, 'sub'), 0o1755), found: ['sub mode'] },
  {
    what: 'one nanosecond',
    change: (b) => setTimes(join(b, 'sub/deep/leaf'), undefined, attributes().mtimeNs + 1n),
    found: ['sub/deep/leaf mtime'],
  },
  {
    what: "a directory's mtime",
    change: (b) => setTimes(join(b, 'sub/deep'), undefined, attributes().mtimeNs - 1n),
    found: ['sub/deep mtime'],
  },
  {
    what: "a symlink's mtime",
    change: (b) => setTimes(join(b, 'link'), undefined, attributes().mtimeNs + 1n),
    found: ['link mtime'],
  },
  { what: 'the top itself', change: (b) => chmodSync(b, 0o700), found: [' mode'] },
  {
    what: 'one byte',
    change: (b) => {
      writeFileSync(join(b, 'plain.txt'), 'some contenT');
      setTimes(join(b, 'plain.txt'), undefined, attributes().mtimeNs);
    },
    found: ['plain.txt content'],
  },
  {
    what: 'a byte far in',
    change: (b) => {
      writeFileSync(join(b, 'long.bin'), new Uint8Array(3_000_000).fill(7).fill(8, 2_999_999));
      setTimes(join(b, 'long.bin'), undefined, attributes().mtimeNs);
    },
    found: ['long.bin content'],
  },
  {
    what: 'the size',
    change: (b) => {
      truncateSync(join(b, 'long.bin'), 2_999_999);
      setTimes(join(b, 'long.bin'), undefined, attributes().mtimeNs);
    },
    found: ['long.bin size'],
  },
  {
    what: 'the target of a symlink',
    change: (b) => {
      unlinkSync(join(b, 'link'));
      symlinkSync('plain.tx', join(b, 'link'));
      lutimesSync(join(b, 'link'), 0, 0);
      setTimes(join(b, 'link'), undefined, attributes().mtimeNs);
      settle(b);
    },
    found: ['link target'],
  },
  {
    what: 'the value of an extended attribute',
    change: (b) => writeXattr(join(b, 'plain.txt'), 'user.note', 'y'),
    found: ['plain.txt xattrs'],
  },
  {
    what: 'a missing extended attribute',
    change: (b) => removeXattr(join(b, 'plain.txt'), 'user.note'),
    found: ['plain.txt xattrs'],
  },
  {
    what: 'a further extended attribute of a directory',
    change: (b) => writeXattr(join(b, 'sub'), 'user.more', ''),
    found: ['sub xattrs'],
  },
  {
    what: 'a missing entry',
    change: (b) => {
      unlinkSync(join(b, 'empty'));
      settle(b);
    },
    found: ['empty presence'],
  },
  {
    what: 'a further entry whose name is not UTF-8',
    change: (b) => {
      mkdirSync(Buffer.concat([Buffer.from(`${b}/`), Buffer.from([0xfe])]));
      settle(b);
    },
    found: ['\xfe presence'],
  },
  {
    what: 'another kind',
    change: (b) => {
      rmSync(join(b, 'sub/deep'), { recursive: true });
      writeFileSync(join(b, 'sub/deep'), '');
      settle(join(b, 'sub'));
      unlinkSync(join(b, 'pipe'));
      makeNode(join(b, 'pipe'), 0o140644, 0n);
      settle(b);
    },
    found: ['one nlink', 'pipe kind', 'sub/deep kind', 'two nlink'],
  },
  {
    what: 'a copy in place of a hard link',
    change: (b) => {
      unlinkSync(join(b, 'two'));
      writeFileSync(join(b, 'two'), 'linked', { mode: 0o644 });
      linkSync(join(b, 'two'), join(b, '..', 'elsewhere'));
      linkSync(join(b, 'two'), join(b, '..', 'elsewhere2'));
      linkSync(join(b, 'one'), join(b, '..', 'elsewhere3'));
      setTimes(join(b, 'two'), undefined, attributes().mtimeNs);
      settle(b);
    },
    found: ['two links'],
  },
  {
    what: 'a hard link in place of a copy',
    change: (b) => {
      unlinkSync(join(b, 'sub/deep/leaf'));
      linkSync(join(b, 'plain.txt'), join(b, 'sub/deep/leaf'));
      settle(join(b, 'sub/deep'));
    },
    found: [
      'plain.txt nlink',
      'sub/deep/leaf links',
      'sub/deep/leaf nlink',
      'sub/deep/leaf size',
      'sub/deep/leaf xattrs',
    ],
  },
  {
    what: 'a name outside',
    change: (b) => linkSync(join(b, 'empty'), join(b, '..', 'empty')),
    found: ['empty nlink'],
  },
];

const rootOnly: typeof single = [
  { what: 'the owner', change: (b) => lchownSync(join(b, 'link'), 1, 0), found: ['link uid'] },
  { what: 'the group', change: (b) => lchownSync(join(b, 'sub'), 0, 7), found: ['sub gid'] },
  {
    what: 'the device',
    change: (b) => {
      unlinkSync(join(b, 'null'));
      makeNode(join(b, 'null'), 0o020644, 0x105n);
      chmodSync(join(b, 'null'), 0o644);
      setTimes(join(b, 'null'), undefined, attributes().mtimeNs);
      settle(b);
    },
    found: ['null rdev'],
  },
];

describe('comparing directories', () => {
  for (const { what, change, found } of single) {
    it(`finds ${what}`, async (t) => {
      assert.deepEqual(await differencesAfter(t, change), found);
    });
  }

  for (const { what, change, found } of rootOnly) {
    it(`finds ${what}`, { skip: !isRoot && 'only root can make it' }, async (t) => {
      assert.deepEqual(await differencesAfter(t, change), found);
    });
  }

  it('finds no difference between equal trees, whatever is in them', async (t) => {
    const top = temporaryDirectory(t);
    let number = 0;
    await fc.assert(
      fc.asyncProperty(treeArbitrary, async (model) => {
        number += 1;
        const [a, b] = [join(top, `a${number}`), join(top, `b${number}`)];
        writeModel(a, model);
        writeModel(b, model);
        const { differences, identical } = await compareTrees(a, b);
        assert.deepEqual(differences, []);
        assert.ok(identical);
      }),
      { numRuns: 25 },
    );
  });

  it('leaves out what may differ', async (t) => {
    const everything = (b: string) => {
      for (const { change } of single.slice(0, 4)) change(b);
    };
    assert.equal((await differencesAfter(t, everything)).length, 4);
    const aspects: Aspect[] = ['mode'];
    assert.deepEqual(await differencesAfter(t, everything, { ignore: aspects }), [
      'sub/deep mtime',
      'sub/deep/leaf mtime',
    ]);
    const note = (b: string) => writeXattr(join(b, 'plain.txt'), 'user.note', 'y');
    assert.deepEqual(await differencesAfter(t, note, { ignoreXattrs: ['user.note'] }), []);
  });

  it('counts all differences and lists as many as asked for', async (t) => {
    const top = temporaryDirectory(t);
    const [a, b] = [join(top, 'a'), join(top, 'b')];
    writeModel(a, directory(Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`f${n}`, file('')]))));
    writeModel(b, directory());
    const result = await compareTrees(a, b, { differencesMax: 3 });
    assert.equal(result.differenceCount, 50);
    assert.equal(result.differences.length, 3);
    assert.equal(result.identical, false);
  });

  it('counts what it compared', async (t) => {
    const top = temporaryDirectory(t);
    writeModel(join(top, 'a'), directory({ f: file('12345'), d: directory({ g: file('678') }) }));
    writeModel(join(top, 'b'), directory({ f: file('12345'), d: directory({ g: file('678') }) }));
    const { entries, files, bytes } = await compareTrees(join(top, 'a'), join(top, 'b'));
    assert.deepEqual({ entries, files, bytes }, { entries: 4, files: 2, bytes: 8 });
  });

  it('descends far below the longest path', async (t) => {
    const top = temporaryDirectory(t);
    const [a, b] = [join(top, 'a'), join(top, 'b')];
    writeDeep(a, 300);
    writeDeep(b, 300);
    const { identical, entries } = await compareTrees(a, b, { ignore: ['mtime'] });
    assert.equal(identical, true);
    assert.equal(entries, 302);
  });

  it('stops when asked to', async (t) => {
    const top = temporaryDirectory(t);
    writeModel(join(top, 'a'), sample());
    const stopped = AbortSignal.abort();
    await assert.rejects(compareTrees(join(top, 'a'), join(top, 'a'), { signal: stopped }), { code: 'E_INTERRUPTED' });
  });

  it('says which side is no directory', async (t) => {
    const top = temporaryDirectory(t);
    await assert.rejects(compareTrees(top, join(top, 'nowhere')), { code: 'E_NOT_FOUND', message: /nowhere/ });
  });
});

/** A chain of directories with names of 40 characters and a file at the end. */
function writeDeep(path: string, levels: number): void {
  const start = process.cwd();
  mkdirSync(path);
  process.chdir(path);
  try {
    for (let level = 0; level < levels; level += 1) {
      mkdirSync('n'.repeat(40));
      process.chdir('n'.repeat(40));
    }
    writeFileSync('leaf', 'x');
  } finally {
    process.chdir(start);
  }
}
