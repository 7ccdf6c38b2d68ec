/** What the tables of names promise whatever comes in which order: see `src/index/names.ts`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../src/core/clock.ts';
import { createDigester } from '../../src/core/digest.ts';
import { putRow } from '../../src/index/holdings.ts';
import { markStale, pathOf, putName, removeName } from '../../src/index/names.ts';
import { withState } from '../../src/index/node-state.ts';
import { doubt } from '../../src/index/replay.ts';
import { IndexState } from '../../src/index/state.ts';
import { updateTrees } from '../../src/index/trees.ts';
import { findUnreachable } from '../../src/index/unreachable.ts';
import { testDomain } from './index-fixture.ts';
import { MemoryTables } from './model/memory-tables.ts';

const root = 1n;

/** Directories by their numbers, with these names: parent, name, inode. */
async function stateWith(places: [bigint, string, bigint][]): Promise<IndexState> {
  const state = new IndexState({
    tables: new MemoryTables().tables,
    digester: createDigester(testDomain.digestKey),
    cut: testDomain.cut,
    clock: systemClock,
    root,
  });
  await state.write(() => {
    for (const inode of new Set([root, ...places.map(([, , each]) => each)])) {
      const none = { uid: 0, gid: 0, rdev: 0n, target: undefined, xattrs: [], isForeign: false, nlink: 2 };
      const seen = { ...none, inode, kind: 'directory' as const, mode: 0o755, size: 0, mtimeNs: 1n, ctimeNs: 1n };
      putRow(state, inode, withState(undefined, seen));
      markStale(state, inode);
    }
    for (const [parent, name, inode] of places) putName(state, place(parent, name), inode);
  });
  return state;
}

function place(parent: bigint, name: string) {
  return { parent, name: Buffer.from(name) };
}

test('with a stale directory all above it are stale, also when one of two names of it goes', async () => {
  // A rename was told of that another one has overtaken: 5 is named in 2 and in 3.
  const state = await stateWith([
    [root, 'a', 2n],
    [root, 'b', 3n],
    [2n, 'x', 5n],
    [3n, 'x', 5n],
  ]);
  await updateTrees(state);
  assert.equal(state.stale.size, 0);
  await state.write(() => markStale(state, 5n));
  await state.write(() => removeName(state, place(2n, 'x')));
  assert.deepEqual([...state.stale].sort(), [root, 2n, 3n, 5n]);
});

test('a path that is asked for while a rename is being committed is not remembered', async () => {
  const places: [bigint, string, bigint][] = [
    [root, 'a', 2n],
    [2n, 'b', 3n],
    [3n, 'c', 4n],
  ];
  const { tables: lastCommit } = await stateWith(places);
  const state = await stateWith(places);
  const { tables } = state;
  const { links } = tables;
  let meanwhile: string | undefined;
  await state.write(() => {
    removeName(state, place(root, 'a'));
    putName(state, place(root, 'moved'), 2n);
    // What somebody sees who reads between this and the commit.
    tables.links = lastCommit.links;
    meanwhile = pathOf(state, 4n)?.toString();
    tables.links = links;
  });
  assert.equal(meanwhile, 'a/b/c', 'others still see the last commit');
  assert.equal(pathOf(state, 4n)?.toString(), 'moved/b/c');
});

test('a path leads by any name that hangs on the root', async () => {
  const state = await stateWith([
    [root, 'a', 6n],
    [5n, 'gone', 7n],
    [6n, 'here', 7n],
  ]);
  assert.equal(pathOf(state, 7n)?.toString(), 'a/here');
  assert.equal(pathOf(state, 6n)?.toString(), 'a');
  await state.write(() => removeName(state, place(6n, 'here')));
  assert.equal(pathOf(state, 7n), undefined);
});

test('names that nothing has been seen under are looked for when a tree is made', async () => {
  const state = await stateWith([[root, 'a', 2n]]);
  await state.write(() => putName(state, place(2n, 'unseen'), 9n));
  await updateTrees(state);
  assert.deepEqual([...state.unlisted], [[2n, false]]);
});

test('a doubt makes strays of what has no name just then, and of nothing else', async () => {
  const state = await stateWith([[root, 'a', 2n]]);
  // 2 had no name for a while, 9 still has none.
  for (const inode of [2n, 9n]) state.orphans.add(inode);
  doubt(state, root, true);
  assert.deepEqual([...state.strays], [9n]);
});

test('only what no name leads to is unreachable, and at the top of it orphans are made', async () => {
  const state = await stateWith([
    [root, 'a', 2n],
    // Without a name itself, below it 6 and 7, of which 7 has another name.
    [5n, 'b', 6n],
    [6n, 'c', 7n],
    [2n, 'd', 7n],
    // A circle.
    [20n, 'e', 21n],
    [21n, 'f', 20n],
    [21n, 'g', 22n],
    // Below what has not even a row.
    [30n, 'h', 31n],
  ]);
  await state.write(() => {
    const none = { uid: 0, gid: 0, rdev: 0n, target: undefined, xattrs: [], isForeign: false, nlink: 2 };
    const seen = { ...none, inode: 5n, kind: 'directory' as const, mode: 0o755, size: 0, mtimeNs: 1n, ctimeNs: 1n };
    putRow(state, 5n, withState(undefined, seen));
  });
  state.orphans.clear();
  // 5, 6, 20, 21, 22, 31; not 7.
  assert.equal(await findUnreachable(state, async () => undefined), 6);
  assert.deepEqual([...state.strays].sort(), [5n, 6n, 20n, 21n, 22n, 31n].sort(), 'and are in doubt');
  const circle = state.orphans.has(20n) ? 20n : 21n;
  assert.deepEqual([...state.orphans].sort(), [5n, 30n, circle].sort());
});
