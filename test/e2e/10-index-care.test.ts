/** The index of a real member: checked and made anew while it is mounted and while it is not; what was missed is loud. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimes } from '../../src/fs/native.ts';
import { contentOf, writeFiles } from './files.ts';
import { makeStage } from './stage.ts';

test('changes that no mutation told of are found, mended and said first, until a check finds none', async (t) => {
  const stage = makeStage(t);
  const [data, at, state] = [stage.path('data'), stage.path('at'), stage.stateOf('alone')];
  for (const path of [data, at]) fs.mkdirSync(path, { recursive: true });
  writeFiles(data, { seed: 'some', count: 30, bytesEach: 20_000 });
  const daemon = await stage.start(['mount', data, '--at', at, '--state', state]);
  const check = ['check', '--index', '--state', state];
  const clean = await stage.run(check);
  assert.equal(clean.exitCode, 0, JSON.stringify(clean.last));
  assert.deepEqual([clean.last.type, clean.last.files, clean.last.misses], ['index-check', 30, 0]);
  assert.ok(clean.messages.some(({ type, phase }) => type === 'progress' && phase === 'check index'));

  const victim = join(data, 'some', '0', 'file-7');
  const { mtimeNs } = fs.statSync(victim, { bigint: true });
  fs.writeFileSync(victim, contentOf('another', 20_000));
  setTimes(victim, undefined, mtimeNs);
  const missed = await stage.run(check);
  assert.equal(missed.exitCode, 3);
  assert.deepEqual(missed.last.differences, [{ path: 'some/0/file-7', what: 'other content' }]);
  const loud = await stage.run(['status', '--state', state]);
  assert.deepEqual([loud.exitCode, loud.last.index.misses, loud.last.index.missesOpen], [3, 1, 1]);

  assert.equal((await stage.run(check)).exitCode, 0);
  const quiet = await stage.run(['status', '--state', state]);
  assert.deepEqual([quiet.exitCode, quiet.last.index.misses, quiet.last.index.missesOpen], [0, 1, 0]);

  const rebuilt = await stage.do(['check', '--rebuild-index', '--state', state]);
  assert.deepEqual([rebuilt.type, rebuilt.files], ['index-rebuilt', 30]);
  const { index } = await stage.do(['status', '--state', state]);
  assert.deepEqual([index.found, index.isLevel, index.files], ['discarded', true, 30]);
  fs.writeFileSync(join(at, 'later'), 'told by mutations');
  assert.equal((await stage.do(check)).files, 31);

  await daemon.stop();
  assert.equal((await stage.run(check)).exitCode, 4, 'it is not known which directory');
  fs.appendFileSync(victim, 'changed while nothing runs');
  const stopped = await stage.do([...check, '--data', data]);
  assert.deepEqual([stopped.files, stopped.misses, stopped.ok], [31, 0, true]);
  const anew = await stage.do(['check', '--rebuild-index', '--state', state, '--data', data]);
  assert.equal(anew.files, 31);
  assert.equal((await stage.run(['check', 'a-store', '--index', '--state', state])).exitCode, 2);
});
