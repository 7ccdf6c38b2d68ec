/** A restore takes what others hold from them, what is there from there, and the rest from the store. */
import assert from 'node:assert/strict';
import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { compareTrees } from '../../src/browse/compare-trees.ts';
import { contentOf, type FileSet, writeFiles } from './files.ts';
import { makeStage } from './stage.ts';

const shared: FileSet = { seed: 'shared', count: 40, bytesEach: 150_000 };
const alone: FileSet = { seed: 'alone', count: 5, bytesEach: 100_000 };
const sharedBytes = shared.count * shared.bytesEach;
const aloneBytes = alone.count * alone.bytesEach;

test('a restore on a member spares the store, one over an older state fetches what differs', async (t) => {
  const stage = makeStage(t);
  await stage.startRepository();
  const vault = await stage.join('vault', 'secondary');
  const laptop = await stage.startClient('laptop');
  const desktop = await stage.startClient('desktop');
  for (const { data } of [laptop, desktop]) writeFiles(data, shared);
  writeFiles(laptop.data, alone);
  await stage.published(laptop, desktop);
  const store = stage.path('store');
  await stage.do(['snapshot', 'laptop', '--to', store, '--state', vault]);
  assert.ok(existsSync(join(vault, 'peer-speeds.json')), 'how fast peers were is remembered');
  const [listed] = (await stage.do(['snapshots', store])).snapshots;
  assert.equal(listed.sourceUse.onlyHolder, aloneBytes, JSON.stringify(listed));
  const kept = stage.path('kept');
  await stage.do(['restore', store, 'laptop/latest', kept, '--store-only', '--state', vault]);
  // The laptop is lost: only the desktop and the store are left.
  await laptop.daemon.stop();

  const target = stage.path('restored');
  const restore = ['restore', store, 'laptop/latest', target, '--state', vault, '--spare-store'];
  const first = await stage.do(restore);
  assert.equal(first.bytesFromPeers, sharedBytes, JSON.stringify(first));
  assert.deepEqual(first.peers, [{ peer: 'desktop', bytes: sharedBytes }]);
  assert.equal(first.bytesFromStore, aloneBytes);
  const same = await compareTrees(kept, target);
  assert.ok(same.identical, JSON.stringify(same.differences.map(({ aspect, a, b }) => [aspect, a, b])));

  // A file that was overwritten, and one that was given another name.
  const folder = join(target, 'shared', '0');
  writeFileSync(join(folder, 'file-0'), contentOf('something else', 150_000));
  renameSync(join(folder, 'file-1'), join(folder, 'renamed'));
  const second = await stage.do([...restore, '--existing', 'replace']);
  assert.equal(second.bytesReused, shared.bytesEach, JSON.stringify(second));
  assert.equal(second.bytesFromPeers, shared.bytesEach);
  assert.equal(second.bytesFromStore, 0);
  const stranger = stage.path('elsewhere');
  const third = await stage.do(['restore', store, 'laptop/latest', stranger, '--state', stage.path('state', 'nobody')]);
  assert.deepEqual([third.bytesFromPeers, third.bytesFromStore], [0, sharedBytes + aloneBytes]);
  const again = await compareTrees(kept, stranger);
  assert.ok(again.identical, JSON.stringify(again.differences.map(({ aspect, a, b }) => [aspect, a, b])));
});
