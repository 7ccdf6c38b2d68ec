/** The tree that a store is shown as, called without a mount. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { TreeView } from '../../src/browse/tree-view.ts';
import type { Clock } from '../../src/core/clock.ts';
import { digestKey } from '../../src/core/digest.ts';
import { encodeTree, type TreeEntry } from '../../src/core/tree.ts';
import { MemoryStore } from './memory-store.ts';
import {
  contentOf,
  directory,
  file,
  fileArbitrary,
  type ModelDirectory,
  type ModelNode,
  nameCounts,
  nodesOf,
  symlink,
  treeArbitrary,
} from './tree-model.ts';

const noon = 1_795_348_800_000_000_000n;
const second = 1_000_000_000n;

const typeBits = {
  file: 0o100000,
  directory: 0o040000,
  symlink: 0o120000,
  fifo: 0o010000,
  socket: 0o140000,
  char: 0o020000,
  block: 0o060000,
};

async function walk(view: TreeView, path: string): Promise<bigint> {
  let node = 1n;
  for (const name of path.split('/').filter((part) => part !== '')) {
    const found = await view.lookup(node, Buffer.from(name, 'latin1'));
    assert.ok(found, `${path} exists`);
    node = found.node;
  }
  return node;
}

async function namesIn(view: TreeView, path: string): Promise<string[]> {
  return (await view.readDirectory(await walk(view, path))).map(({ name }) => Buffer.from(name).toString('latin1'));
}

function clockAt(start: number): Clock & { ms: number } {
  return {
    ms: start,
    nowMs() {
      return this.ms;
    },
    monotonicMs() {
      return this.ms;
    },
  };
}

/** Compares everything the view tells of `model` with it; `seen` collects which number each node has. */
async function assertShows(view: TreeView, node: bigint, model: ModelDirectory, root = model): Promise<void> {
  const counts = nameCounts(root);
  const numbers = new Map<ModelNode, bigint>();
  const visit = async (at: bigint, expected: ModelDirectory) => {
    const items = await view.readDirectory(at);
    const names = items.map(({ name }) => Buffer.from(name).toString('latin1'));
    assert.deepEqual(names.sort(), [...expected.children.keys()].sort());
    for (const item of items) {
      const child = expected.children.get(Buffer.from(item.name).toString('latin1')) as ModelNode;
      const attributes = await view.lookup(at, item.name);
      assert.ok(attributes);
      assert.equal(attributes.node, item.node);
      assert.deepEqual(await view.attributes(item.node), attributes);
      assert.equal(numbers.get(child) ?? attributes.node, attributes.node, 'names of one file share a number');
      numbers.set(child, attributes.node);
      assert.equal(attributes.mode, typeBits[child.kind] | child.mode);
      assert.equal(attributes.uid, child.uid);
      assert.equal(attributes.gid, child.gid);
      assert.equal(attributes.mtimeNs, child.mtimeNs);
      assert.deepEqual(
        (await view.listXattrs(item.node)).map(({ name, value }) => [Buffer.from(name), Buffer.from(value)]),
        child.xattrs.map(({ name, value }) => [Buffer.from(name), Buffer.from(value)]),
      );
      if (child.kind !== 'directory') assert.equal(attributes.nlink, counts.get(child));
      if (child.kind === 'directory') await visit(item.node, child);
      if (child.kind === 'symlink')
        assert.deepEqual(Buffer.from(await view.readLink(item.node)), Buffer.from(child.target));
      if (child.kind === 'char' || child.kind === 'block') assert.equal(attributes.rdev, child.rdev);
      if (child.kind === 'file') {
        const content = contentOf(child);
        assert.equal(attributes.size, content.byteLength);
        assert.ok(content.equals(await view.read(item.node, 0, content.byteLength + 10)));
      }
    }
  };
  await visit(node, model);
  assert.equal(new Set(numbers.values()).size, numbers.size, 'different files have different numbers');
}

describe('the tree over a store', () => {
  it('shows every entry of a snapshot as it was', async () => {
    await fc.assert(
      fc.asyncProperty(treeArbitrary, async (model) => {
        const store = new MemoryStore();
        store.add('laptop', noon, model);
        const view = new TreeView(store);
        await assertShows(view, await walk(view, 'laptop/2026-11-22T12-00-00Z'), model);
      }),
      { numRuns: 60 },
    );
  });

  it('shows the same with caches that hold next to nothing', async () => {
    await fc.assert(
      fc.asyncProperty(treeArbitrary, async (model) => {
        const store = new MemoryStore();
        store.add('laptop', noon, model);
        const view = new TreeView(store, { treeBytesMax: 1, recipeBytesMax: 1, blockBytesMax: 1 });
        await assertShows(view, await walk(view, 'laptop/2026-11-22T12-00-00Z'), model);
      }),
      { numRuns: 20 },
    );
  });

  it('reads any range of a file', async () => {
    const ranges = fc.array(fc.tuple(fc.nat({ max: 700_000 }), fc.nat({ max: 40_000 })), {
      minLength: 1,
      maxLength: 8,
    });
    await fc.assert(
      fc.asyncProperty(fileArbitrary, ranges, async (model, wanted) => {
        const store = new MemoryStore();
        store.add('laptop', noon, directory({ f: model }));
        const view = new TreeView(store);
        const node = await walk(view, 'laptop/2026-11-22T12-00-00Z/f');
        const content = contentOf(model);
        const answers = await Promise.all(wanted.map(([offset, length]) => view.read(node, offset, length)));
        answers.forEach((bytes, which) => {
          const [offset, length] = wanted[which] as [number, number];
          assert.ok(content.subarray(offset, offset + length).equals(bytes), `${length} bytes at ${offset}`);
        });
      }),
      { numRuns: 60 },
    );
  });

  it('gives every read memory of its own', async () => {
    const store = new MemoryStore();
    store.add('laptop', noon, directory({ f: file('content') }));
    const view = new TreeView(store);
    const node = await walk(view, 'laptop/2026-11-22T12-00-00Z/f');
    (await view.read(node, 0, 100)).fill(0);
    assert.equal(Buffer.from(await view.read(node, 0, 100)).toString(), 'content');
  });

  it('leads latest to the newest snapshot and shows new ones within about a second', async () => {
    const store = new MemoryStore();
    const clock = clockAt(0);
    store.add('laptop', noon, directory({ old: file('1') }));
    const view = new TreeView(store, { clock });
    assert.deepEqual(await namesIn(view, ''), ['laptop']);
    const before = await walk(view, 'laptop/latest');
    assert.equal(Buffer.from(await view.readLink(before)).toString(), '2026-11-22T12-00-00Z');
    const snapshot = await walk(view, 'laptop/2026-11-22T12-00-00Z');

    store.add('laptop', noon + 60n * second, directory({ young: file('2') }));
    store.add('desktop', noon, directory());
    clock.ms = 999;
    assert.deepEqual(await namesIn(view, ''), ['laptop']);
    clock.ms = 1000;
    assert.deepEqual(await namesIn(view, ''), ['laptop', 'desktop']);
    assert.deepEqual(await namesIn(view, 'laptop'), ['2026-11-22T12-00-00Z', '2026-11-22T12-01-00Z', 'latest']);
    const after = await walk(view, 'laptop/latest');
    assert.equal(Buffer.from(await view.readLink(after)).toString(), '2026-11-22T12-01-00Z');
    assert.notEqual(after, before, 'a link with another target is another node');
    assert.equal(await walk(view, 'laptop/2026-11-22T12-00-00Z'), snapshot);
    assert.deepEqual(await namesIn(view, 'laptop/2026-11-22T12-01-00Z'), ['young']);
    assert.ok(view.cacheSeconds(1n) <= 1 && view.cacheSeconds(after) <= 1);
    const inside = await walk(view, 'laptop/2026-11-22T12-01-00Z/young');
    assert.equal(view.cacheSeconds(inside), Number.POSITIVE_INFINITY);
  });

  it('goes on with the list it has when the store cannot list, and says so', async () => {
    const store = new MemoryStore();
    const clock = clockAt(0);
    const problems: string[] = [];
    store.add('laptop', noon, directory());
    const view = new TreeView(store, { clock, onProblem: (message) => problems.push(message) });
    assert.deepEqual(await namesIn(view, ''), ['laptop']);
    store.listSnapshots = () => Promise.reject(new Error('the disk is gone'));
    clock.ms = 5000;
    assert.deepEqual(await namesIn(view, ''), ['laptop']);
    assert.match(problems.join(), /the disk is gone/);
    const fresh = new TreeView(store, { clock, onProblem: (message) => problems.push(message) });
    await assert.rejects(fresh.readDirectory(1n), { code: 'EIO' });
  });

  it('answers damage with EIO, a line that names the path, and never wrong bytes', async () => {
    const store = new MemoryStore();
    const blocks = Array.from({ length: 8 }, (_, which) => new Uint8Array(1000).fill(which + 1));
    store.add('laptop', noon, directory({ sub: directory({ f: file(blocks), g: file('intact') }) }));
    const [missing, damaged] = [store.addBlock(blocks[2] as Uint8Array), store.addBlock(blocks[5] as Uint8Array)];
    store.blocks.delete(digestKey(missing));
    store.blocks.set(digestKey(damaged), new Uint8Array(1000).fill(99));
    const problems: string[] = [];
    const view = new TreeView(store, { onProblem: (message) => problems.push(message), readAheadBytes: 0 });
    const node = await walk(view, 'laptop/2026-11-22T12-00-00Z/sub/f');
    assert.deepEqual([...new Set(await view.read(node, 0, 2000))], [1, 2]);
    await assert.rejects(view.read(node, 1999, 2), { code: 'EIO' });
    await assert.rejects(view.read(node, 5500, 1), { code: 'EIO' });
    assert.deepEqual([...new Set(await view.read(node, 6000, 2000))], [7, 8]);
    assert.equal(problems.length, 2);
    for (const problem of problems)
      assert.match(problem, /^laptop\/2026-11-22T12-00-00Z\/sub\/f: block .*(missing|damaged)/);
    const intact = await walk(view, 'laptop/2026-11-22T12-00-00Z/sub/g');
    assert.equal(Buffer.from(await view.read(intact, 0, 100)).toString(), 'intact');
  });

  it('does not believe a recipe whose lengths differ from its blocks or its file', async () => {
    const store = new MemoryStore();
    const digest = store.addBlock(Buffer.from('four'));
    const entry: TreeEntry = {
      ...file(''),
      kind: 'file',
      name: Buffer.from('f'),
      size: 5,
      content: { segments: [{ digest, length: 5 }] },
    };
    const tree = store.addObject(encodeTree([entry]));
    store.addRecord('laptop', noon, { ...directory(), kind: 'directory', name: new Uint8Array(0), tree });
    const view = new TreeView(store);
    const node = await walk(view, 'laptop/2026-11-22T12-00-00Z/f');
    await assert.rejects(view.read(node, 0, 5), { code: 'EIO' });
  });

  it('answers a file that was stored without its content with EIO, its attributes nonetheless', async () => {
    const store = new MemoryStore();
    const entry: TreeEntry = {
      ...file(''),
      kind: 'file',
      name: Buffer.from('busy'),
      size: 77,
      content: { missing: true },
    };
    const tree = store.addObject(encodeTree([entry]));
    store.addRecord('laptop', noon, { ...directory(), kind: 'directory', name: new Uint8Array(0), tree });
    const problems: string[] = [];
    const view = new TreeView(store, { onProblem: (message) => problems.push(message) });
    const node = await walk(view, 'laptop/2026-11-22T12-00-00Z/busy');
    assert.equal((await view.attributes(node)).size, 77);
    await assert.rejects(view.read(node, 0, 10), { code: 'EIO' });
    assert.match(problems.join(), /busy: the snapshot was made without the content/);
  });

  it('answers a missing or hostile tree object with EIO', async () => {
    const store = new MemoryStore();
    const hostile = (name: string) =>
      store.addObject(
        encodeTree([{ ...file('x'), kind: 'file', name: Buffer.from(name), size: 0, content: { segments: [] } }]),
      );
    const gone = hostile('gone');
    store.objects.delete(digestKey(gone));
    for (const [second_, tree] of [gone, hostile('..'), hostile('a/b'), hostile('')].entries()) {
      const root = { ...directory(), kind: 'directory' as const, name: new Uint8Array(0), tree };
      store.addRecord('laptop', noon + BigInt(second_) * second, root);
    }
    const view = new TreeView(store);
    for (const name of [
      '2026-11-22T12-00-00Z',
      '2026-11-22T12-00-01Z',
      '2026-11-22T12-00-02Z',
      '2026-11-22T12-00-03Z',
    ]) {
      await assert.rejects(view.readDirectory(await walk(view, `laptop/${name}`)), { code: 'EIO' });
    }
  });

  it('leaves out clients whose name cannot be a name', async () => {
    const store = new MemoryStore();
    for (const client of ['..', '.', '', 'a/b', 'x'.repeat(300), 'good']) store.add(client, noon, directory());
    assert.deepEqual(await namesIn(new TreeView(store), ''), ['good']);
  });

  it('does not join files that only claim to be linked', async () => {
    const store = new MemoryStore();
    const entry = (name: string, content: string): TreeEntry => ({
      ...file(''),
      kind: 'file',
      name: Buffer.from(name),
      size: content.length,
      content: { segments: [{ digest: store.addBlock(Buffer.from(content)), length: content.length }] },
      link: 5n,
    });
    const tree = store.addObject(encodeTree([entry('a', 'one'), entry('b', 'two'), entry('c', 'one')]));
    store.addRecord('laptop', noon, { ...directory(), kind: 'directory', name: new Uint8Array(0), tree });
    const view = new TreeView(store);
    const [a, b, c] = await Promise.all(
      ['a', 'b', 'c'].map((name) => walk(view, `laptop/2026-11-22T12-00-00Z/${name}`)),
    );
    assert.equal(a, c);
    assert.notEqual(a, b);
    assert.equal(Buffer.from(await view.read(b as bigint, 0, 10)).toString(), 'two');
    assert.equal((await view.attributes(a as bigint)).nlink, 2);
    assert.equal((await view.attributes(b as bigint)).nlink, 1);
  });

  it('counts the names of a linked file over the whole snapshot, also in equal directories', async () => {
    const store = new MemoryStore();
    const shared = file('shared');
    const twin = () => directory({ x: shared, y: file('alone') });
    store.add('laptop', noon, directory({ one: twin(), two: twin(), three: directory({ z: shared }) }));
    const view = new TreeView(store);
    const attributes = await view.attributes(await walk(view, 'laptop/2026-11-22T12-00-00Z/two/x'));
    assert.equal(attributes.nlink, 3);
    assert.equal(attributes.node, await walk(view, 'laptop/2026-11-22T12-00-00Z/three/z'));
  });

  it('reads no other tree than those on the way when nothing is linked', async () => {
    const store = new MemoryStore();
    const children = Object.fromEntries(
      Array.from({ length: 50 }, (_, which) => [`d${which}`, directory({ [`f${which}`]: file('') })]),
    );
    store.add('laptop', noon, directory(children));
    const view = new TreeView(store);
    await view.attributes(await walk(view, 'laptop/2026-11-22T12-00-00Z/d7/f7'));
    assert.equal(store.objectReads, 2);
  });

  it('finds its way in a directory of fifty thousand entries', async () => {
    const store = new MemoryStore();
    const children = Object.fromEntries(Array.from({ length: 50_000 }, (_, which) => [`file-${which}`, file('')]));
    store.add('laptop', noon, directory({ huge: directory(children) }));
    const view = new TreeView(store, { treeBytesMax: 1000 });
    const huge = await walk(view, 'laptop/2026-11-22T12-00-00Z/huge');
    assert.equal((await view.readDirectory(huge)).length, 50_000);
    for (let which = 0; which < 50_000; which += 997) {
      const found = await view.lookup(huge, Buffer.from(`file-${which}`));
      assert.ok(found);
      assert.equal((await view.attributes(found.node)).node, found.node);
    }
    assert.equal(await view.lookup(huge, Buffer.from('file-50000')), undefined);
    assert.ok(store.objectReads < 20, `${store.objectReads} trees were read`);
  });

  it('reads ahead of a reader in sequence, and fetches no block twice for it', async () => {
    const store = new MemoryStore();
    const blocks = Array.from({ length: 64 }, (_, which) => new Uint8Array(64 * 1024).fill(which));
    store.add('laptop', noon, directory({ f: file(blocks) }));
    const view = new TreeView(store);
    const node = await walk(view, 'laptop/2026-11-22T12-00-00Z/f');
    await view.read(node, 0, 32 * 1024);
    await new Promise((resolve) => setImmediate(resolve));
    const atFirst = store.blockReads.length;
    assert.ok(atFirst > 1, 'more than the block asked for is read');
    for (let offset = 32 * 1024; offset < 4 * 1024 * 1024; offset += 32 * 1024)
      await view.read(node, offset, 32 * 1024);
    assert.equal(store.blockReads.length, 64);
    assert.deepEqual(store.blockReads, [...new Set(store.blockReads)]);
  });

  it('does not read ahead of a reader that jumps', async () => {
    const store = new MemoryStore();
    const blocks = Array.from({ length: 64 }, (_, which) => new Uint8Array(64 * 1024).fill(which));
    store.add('laptop', noon, directory({ f: file(blocks) }));
    const view = new TreeView(store);
    const node = await walk(view, 'laptop/2026-11-22T12-00-00Z/f');
    for (const block of [40, 3, 20, 9, 55]) await view.read(node, block * 64 * 1024, 1000);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(store.blockReads.length, 5);
  });

  it('refuses what a kind of entry does not have', async () => {
    const store = new MemoryStore();
    store.add('laptop', noon, directory({ f: file('x'), l: symlink('f') }));
    const view = new TreeView(store);
    const snapshot = await walk(view, 'laptop/2026-11-22T12-00-00Z');
    const [f, l] = [await view.lookup(snapshot, Buffer.from('f')), await view.lookup(snapshot, Buffer.from('l'))];
    assert.ok(f && l);
    await assert.rejects(view.readDirectory(f.node), { code: 'ENOTDIR' });
    await assert.rejects(view.lookup(f.node, Buffer.from('x')), { code: 'ENOTDIR' });
    await assert.rejects(view.readLink(f.node), { code: 'EINVAL' });
    await assert.rejects(view.read(l.node, 0, 1), { code: 'EINVAL' });
    await assert.rejects(view.read(snapshot, 0, 1), { code: 'EISDIR' });
    await assert.rejects(view.attributes(123_456n), { code: 'ESTALE' });
  });

  it('keeps the names of all nodes that were ever met', async () => {
    await fc.assert(
      fc.asyncProperty(treeArbitrary, async (model) => {
        const store = new MemoryStore();
        store.add('laptop', noon, model);
        const view = new TreeView(store, { treeBytesMax: 1 });
        const paths = [...nodesOf(model)].map(([path]) => `laptop/2026-11-22T12-00-00Z/${path}`);
        const numbers = [];
        for (const path of paths) numbers.push(await walk(view, path));
        for (const [which, path] of [...paths.entries()].reverse())
          assert.equal(await walk(view, path), numbers[which]);
      }),
      { numRuns: 20 },
    );
  });
});
