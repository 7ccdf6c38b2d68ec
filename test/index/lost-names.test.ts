/** Directories that have no name for a while, because they were looked for where they no longer are. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Mutation } from '../../src/core/mutation.ts';
import type { LiveIndex } from '../../src/index/live-index.ts';
import { makeFixture, noise, sightOf } from './index-fixture.ts';
import { RecordedDirectory } from './recorded-directory.ts';

async function consumed(index: LiveIndex, mutations: Mutation[]): Promise<void> {
  const { mutations: before } = index.status();
  index.consume(mutations);
  while (index.status().mutations < before + mutations.length) await new Promise((resolve) => setTimeout(resolve, 5));
  // Until they were looked at, too.
  await new Promise((resolve) => setTimeout(resolve, 50));
}

/** An index that is level with two empty directories, `p` and `q`. */
async function indexedDirectories(t: TestContext) {
  const fixture = await makeFixture(t);
  const directory = new RecordedDirectory(fixture.data);
  for (const name of ['p', 'q']) directory.makeDirectory(name);
  const index = await fixture.open({ settle: async () => undefined });
  await index.level();
  directory.take();
  return { fixture, directory, index };
}

test('what is done in a directory that has no name just now is not lost', async (t) => {
  const { fixture, directory, index } = await indexedDirectories(t);

  directory.makeDirectory('p/x');
  directory.create('p/x/a', noise(1, 3000));
  const made = directory.take();
  directory.remove('p/x/a');
  const removed = directory.take();
  directory.create('p/x/b', noise(2, 3000));
  const added = directory.take();
  directory.rename('p/x', 'q/y');
  directory.create('q/y/c', noise(3, 3000));
  const moved = directory.take();

  for (const mutations of [made, removed, added, moved]) await consumed(index, mutations);
  assert.deepEqual(await sightOf(index), await fixture.fresh());
});

test('a directory whose number was another one begins empty', async (t) => {
  const fixture = await makeFixture(t);
  const directory = new RecordedDirectory(fixture.data);
  directory.makeDirectory('p');
  directory.makeDirectory('p/old');
  directory.create('p/old/a', noise(1, 3000));
  const index = await fixture.open({ settle: async () => undefined });
  await index.level();
  const inode = directory.inode('p/old');
  directory.remove('p/old/a');
  directory.remove('p/old');
  // The file system gives the number to the next directory, or the test shows nothing that is wrong.
  directory.makeDirectory('p/new');
  t.diagnostic(directory.inode('p/new') === inode ? 'the number was used again' : 'the number was not used again');
  const [, create] = directory.take().slice(-2);
  // All that was said of the old one has come to nothing but this.
  await consumed(index, [
    { kind: 'unlink', inode, parent: directory.inode('p'), name: Buffer.from('old') },
    create as Mutation,
  ]);
  assert.deepEqual(await sightOf(index), await fixture.fresh());
});

/** One mutation that says nothing, as often as it takes for what follows to be applied in the next turn of the loop. */
function fillTurn(mutations: Mutation[]): Mutation[] {
  const nothing: Mutation = { kind: 'truncate', inode: 0xffff_ffffn, size: 0 };
  return [...mutations, ...Array<Mutation>(512 - mutations.length).fill(nothing)];
}

test('names told of a directory that was not seen yet, and hangs on nothing, are not lost', async (t) => {
  const { fixture, directory, index } = await indexedDirectories(t);

  directory.changeMode('p', 0o700);
  const changed = directory.take();
  directory.makeDirectory('p/x');
  directory.makeDirectory('p/x/y');
  directory.create('p/x/y/a', noise(1, 3000));
  const made = directory.take();
  directory.changeMode('p/x', 0o700);
  directory.rename('p', 'q/p');
  const moved = directory.take();

  // `p` is not found where it was; nobody has seen `x` when names within are told; then `x` is asked for as if it were new.
  await consumed(index, [...fillTurn(changed), ...fillTurn(made), ...moved]);
  assert.deepEqual(await sightOf(index), await fixture.fresh());
});
