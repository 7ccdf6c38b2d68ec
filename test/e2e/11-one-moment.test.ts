/** A snapshot is of the moment of its cut, though it is pulled slowly and everything changes meanwhile. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Message } from '../../scripts/covault-process.ts';
import { contentOf, writeFiles } from './files.ts';
import { makeStage } from './stage.ts';

const set = { seed: 'set', count: 6, bytesEach: 500_000 };

test('what is overwritten, renamed and removed during a slow pull is in the snapshot as it was', async (t) => {
  const stage = makeStage(t);
  await stage.startRepository();
  const laptop = await stage.startClient('laptop');
  await stage.join('vault', 'secondary');
  writeFiles(laptop.data, set);
  await stage.published(laptop);
  const status = () => stage.do(['status', '--state', laptop.state]);

  const slowly = ['snapshot', 'laptop', '--to', stage.path('store'), '--state', stage.stateOf('vault')];
  const planned = Promise.withResolvers<void>();
  const onMessage = ({ type }: Message) => type === 'plan' && planned.resolve();
  const taking = stage.do([...slowly, '--source-limit', '400kB'], { onMessage });
  await Promise.race([planned.promise, taking]);
  const [first, ...others] = fs.readdirSync(join(laptop.data, 'set/0')).map((name) => join(laptop.data, 'set/0', name));
  for (const path of others) fs.writeFileSync(path, contentOf('changed', 300_000));
  fs.rmSync(first ?? '');
  fs.renameSync(join(laptop.data, 'set'), join(laptop.data, 'moved'));
  const { mount } = await status();
  assert.equal(mount.cuts.open.length, 1);
  assert.ok(mount.cuts.spaceBytes > 1_000_000, `${mount.cuts.spaceBytes} bytes kept`);

  const taken = await taking;
  assert.deepEqual([taken.rounds, taken.exceptions, taken.files], [1, [], set.count]);
  assert.ok(taken.seconds > 1.5, 'the pull was slow');
  const { cuts } = (await status()).mount;
  assert.deepEqual([cuts.open, cuts.spaceBytes, cuts.failed], [[], 0, 0]);
  await stage.do(['restore', stage.path('store'), 'laptop/latest', stage.path('restored')]);
  for (let number = 0; number < set.count; number++) {
    const restored = fs.readFileSync(join(stage.path('restored'), `set/0/file-${number}`));
    assert.ok(restored.equals(contentOf(`set ${number}`, set.bytesEach)), `file-${number}`);
  }
});
