/** The table of operations that `fuse-native` gets, called without a mount. */
import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type PathStat, pathOperations } from '../../src/browse/path-operations.ts';
import { namesShownAs, shownName } from '../../src/browse/shown-names.ts';
import { TreeView } from '../../src/browse/tree-view.ts';
import { oddModel, plainModel, storeToBrowse } from './browsed-store.ts';
import { contentOf, nodesOf } from './tree-model.ts';

const top = '/plain/2026-11-22T12-00-00Z';

/** Calls an operation; rejects with the errno's name. */
function call<Value>(act: (answer: (errno: number, value?: Value) => void) => void): Promise<Value | undefined> {
  return new Promise((resolve, reject) => {
    act((errno, value) => {
      if (errno === 0) resolve(value);
      else reject(Object.assign(new Error(`errno ${errno}`), { code: nameOf(-errno) }));
    });
  });
}

function nameOf(errno: number): string | undefined {
  return Object.entries(constants.errno).find(([, number]) => number === errno)?.[0];
}

describe('operations on paths', () => {
  const operations = pathOperations(new TreeView(storeToBrowse()));
  const getattr = (path: string) => call<PathStat>((answer) => operations.getattr(path, answer));
  const readdir = (path: string) => call<string[]>((answer) => operations.readdir(path, answer));

  it('show every entry', async () => {
    for (const [path, node] of nodesOf(plainModel())) {
      // The model keeps names as latin1; this one is UTF-8 to the interface.
      const stat = await getattr(`${top}/${Buffer.from(path, 'latin1').toString()}`);
      assert.ok(stat);
      assert.equal(stat.mode & 0o7777, node.mode);
      assert.deepEqual([stat.uid, stat.gid], [node.uid, node.gid]);
      assert.equal(BigInt(stat.mtime) * 1_000_000n, node.mtimeNs);
      if (node.kind === 'file') assert.equal(stat.size, contentOf(node).byteLength);
    }
    assert.deepEqual((await readdir('/'))?.sort(), ['.', '..', 'damaged', 'odd', 'plain']);
    assert.equal((await readdir(`${top}/many`))?.length, 802);
  });

  it('give names of one file one inode number and their count', async () => {
    const stats = await Promise.all(['one', 'sub/two', 'sub/deeper/three'].map((path) => getattr(`${top}/${path}`)));
    assert.equal(new Set(stats.map((stat) => stat?.ino)).size, 1);
    assert.deepEqual(
      stats.map((stat) => stat?.nlink),
      [3, 3, 3],
    );
  });

  it('read', async () => {
    const big = plainModel().children.get('big.bin');
    assert.ok(big?.kind === 'file');
    const content = contentOf(big);
    for (const [offset, length] of [
      [0, 100],
      [69_990, 20],
      [content.byteLength - 5, 100],
      [content.byteLength, 10],
    ] as const) {
      const buffer = new Uint8Array(length);
      const count = await new Promise<number>((resolve) =>
        operations.read(`${top}/big.bin`, 0, buffer, length, offset, resolve),
      );
      assert.ok(content.subarray(offset, offset + length).equals(buffer.subarray(0, count)));
    }
  });

  it('follow latest, read links and extended attributes', async () => {
    assert.equal(await call<string>((answer) => operations.readlink('/plain/latest', answer)), '2026-11-22T12-00-00Z');
    assert.equal(await call<string>((answer) => operations.readlink(`${top}/link`, answer)), 'sub/../a.txt');
    assert.deepEqual(await call<string[]>((answer) => operations.listxattr(`${top}/a.txt`, answer)), ['user.note']);
    const value = await call<Buffer>((answer) => operations.getxattr(`${top}/a.txt`, 'user.note', 0, answer));
    assert.deepEqual(value, Buffer.from([0, 1, 255]));
    assert.equal(await call<Buffer>((answer) => operations.getxattr(`${top}/a.txt`, 'user.no', 0, answer)), undefined);
  });

  it('answer with the errno that fits', async () => {
    const cases: [string, Promise<unknown>][] = [
      ['ENOENT', getattr('/nobody')],
      ['ENOENT', getattr(`${top}/a.tx`)],
      ['ENOTDIR', getattr(`${top}/a.txt/b`)],
      ['ENOTDIR', readdir(`${top}/a.txt`)],
      ['EINVAL', call((answer) => operations.readlink(`${top}/a.txt`, answer))],
      ['EISDIR', call((answer) => operations.read(top, 0, new Uint8Array(1), 1, 0, answer))],
      [
        'EIO',
        call((answer) => operations.read('/damaged/2026-11-22T12-00-00Z/f', 0, new Uint8Array(9), 9, 70_000, answer)),
      ],
      ['EROFS', call((answer) => operations.open(`${top}/a.txt`, 1, answer))],
      ['ENOENT', call((answer) => operations.open(`${top}/nobody`, 0, answer))],
    ];
    for (const [code, outcome] of cases) await assert.rejects(outcome, { code });
    assert.equal(await call<number>((answer) => operations.open(`${top}/a.txt`, 0, answer)), 0);
  });

  it('refuse every change', async () => {
    const changing = [
      ...['chmod', 'chown', 'create', 'ftruncate', 'link', 'mkdir', 'mknod', 'removexattr', 'rename', 'rmdir'],
      ...['setxattr', 'symlink', 'truncate', 'unlink', 'utimens', 'write'],
    ];
    for (const name of changing) {
      const operation = operations[name] as unknown as (...values: unknown[]) => void;
      await assert.rejects(
        call((answer) => operation(`${top}/a.txt`, 1, answer)),
        { code: 'EROFS' },
      );
    }
  });

  it('show names that are not UTF-8 in a form that leads back to them', async () => {
    const names = await readdir('/odd/2026-11-22T12-00-00Z');
    assert.ok(names?.includes('\\xff\\xfe'));
    assert.equal(names?.length, oddModel().children.size + 2);
    const stat = await getattr('/odd/2026-11-22T12-00-00Z/\\xff\\xfe');
    assert.equal(stat?.size, 9);
    await assert.rejects(getattr('/odd/2026-11-22T12-00-00Z/\\xff'), { code: 'ENOENT' });
  });
});

describe('names as text', () => {
  it('lead back to the name', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), (bytes) => {
        const found = namesShownAs(shownName(bytes)).map((name) => Buffer.from(name).toString('hex'));
        assert.ok(found.includes(Buffer.from(bytes).toString('hex')));
      }),
    );
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1 }), (text) => {
        const bytes = Buffer.from(text);
        assert.deepEqual(Buffer.from(namesShownAs(shownName(bytes))[0] as Uint8Array), bytes);
      }),
    );
  });
});
