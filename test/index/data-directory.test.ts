/** Whatever a directory may contain is in the index, or is named. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Mutation } from '../../src/core/mutation.ts';
import { makeNode, openNode } from '../../src/fs/native.ts';
import { ordinaryUser } from '../support/mount-daemon.ts';
import { needsMountAsUser, needsRoot } from '../support/requirements.ts';
import { entriesOf, makeFixture, noise, openReporting, sightOf } from './index-fixture.ts';
import { RecordedDirectory } from './recorded-directory.ts';

/** Acting as another user; whether that one may mount does not matter here. */
function needsOrdinaryUser(): false | string {
  const missing = needsRoot() || needsMountAsUser();
  return missing && /root|cannot read/.test(missing) ? missing : false;
}

test('names of any bytes, empty directories, and every kind of node', async (t) => {
  const fixture = await makeFixture(t);
  const odd = [
    Buffer.from([0xff, 0xfe]),
    Buffer.from('new\nline'),
    Buffer.from(' '),
    Buffer.from('ü'),
    Buffer.alloc(255, 0x80),
  ];
  for (const name of odd) fs.writeFileSync(Buffer.concat([Buffer.from(`${fixture.data}/`), name]), name);
  fs.mkdirSync(join(fixture.data, 'empty'));
  fs.symlinkSync('nowhere', join(fixture.data, 'link'));
  makeNode(join(fixture.data, 'fifo'), 0o010644, 0n);
  makeNode(join(fixture.data, 'socket'), 0o140755, 0n);
  const index = await fixture.open();
  const cut = await index.openCut();
  const entries = await entriesOf(cut);
  assert.deepEqual(
    [...entries.keys()].sort(),
    [...odd.map((name) => name.toString('latin1')), 'empty', 'fifo', 'link', 'socket'].sort(),
  );
  const kinds = ['empty', 'fifo', 'link', 'socket'].map((name) => entries.get(name)?.kind);
  assert.deepEqual(kinds, ['directory', 'fifo', 'symlink', 'socket']);
  await cut.close();
  assert.deepEqual(await sightOf(index), await fixture.fresh());
});

test('paths longer than the system takes at once', async (t) => {
  const fixture = await makeFixture(t);
  const name = 'd'.repeat(200);
  const deep: number[] = [fs.openSync(fixture.data, 'r')];
  for (let depth = 0; depth < 40; depth++) {
    const above = `/proc/self/fd/${deep.at(-1)}`;
    fs.mkdirSync(`${above}/${name}`);
    deep.push(openNode(deep.at(-1) as number, name, 0o10000000));
  }
  fs.writeFileSync(`/proc/self/fd/${deep.at(-1)}/file`, noise(1, 3000));
  t.after(() => {
    for (const fd of deep) fs.closeSync(fd);
  });
  const index = await fixture.open();
  const sight = await sightOf(index);
  assert.equal(sight.entries.length, 41);
  const file = fs.lstatSync(`/proc/self/fd/${deep.at(-1)}/file`, { bigint: true });
  fs.writeFileSync(`/proc/self/fd/${deep.at(-1)}/file`, noise(2, 3000));
  index.consume([{ kind: 'content', inode: file.ino, offset: 0, length: 3000 }]);
  await index.level();
  const [digest] = index.feed.changesAfter(sight.holdings.length > 0 ? 1 : 0, 10).gained;
  assert.ok(digest);
  assert.deepEqual(Buffer.from((await index.readBlock(digest)) ?? []), noise(2, 3000));
});

test('hard links share one inode, and stop doing so when one is left', async (t) => {
  const fixture = await makeFixture(t);
  const directory = new RecordedDirectory(fixture.data);
  directory.makeDirectory('d');
  directory.create('one', noise(1, 9000));
  directory.link('one', 'd/two');
  directory.take();
  const index = await openReporting(fixture, directory);
  const linked = await index.openCut();
  const entries = await entriesOf(linked);
  assert.equal(entries.get('one')?.link, directory.inode('one'));
  assert.equal(entries.get('d/two')?.link, directory.inode('one'));
  await linked.close();
  const hashed = index.status().bytesHashed;
  assert.equal(hashed, 9000);
  directory.remove('one');
  const single = await index.openCut();
  assert.equal((await entriesOf(single)).get('d/two')?.link, undefined);
  await single.close();
  assert.deepEqual(await sightOf(index), await fixture.fresh());
  assert.equal(index.status().bytesHashed, hashed);
});

test('what cannot be read is named, and the rest is there', { skip: needsOrdinaryUser() }, async (t) => {
  const fixture = await makeFixture(t);
  fs.writeFileSync(join(fixture.data, 'open'), noise(1, 5000));
  fs.writeFileSync(join(fixture.data, 'secret'), noise(2, 5000), { mode: 0o600 });
  fs.mkdirSync(join(fixture.data, 'closed'), { mode: 0o700 });
  fs.writeFileSync(join(fixture.data, 'closed', 'hidden'), noise(3, 5000));
  fs.chmodSync(join(fixture.data, '..'), 0o755);
  const { uid, gid } = ordinaryUser;
  fs.chownSync(fixture.state, uid, gid);
  const child = fileURLToPath(new URL('./unreadable-child.ts', import.meta.url));
  const command = [
    `--reuid=${uid}`,
    `--regid=${gid}`,
    '--clear-groups',
    process.execPath,
    child,
    fixture.data,
    fixture.state,
  ];
  const { stdout } = await promisify(execFile)('setpriv', command);
  const { unreadablePaths, ...said } = JSON.parse(stdout);
  assert.deepEqual(
    unreadablePaths.map(({ path, code }: { path: string; code: string }) => `${path}: ${code}`).toSorted(),
    ['closed: EACCES', 'secret: EACCES'],
  );
  assert.deepEqual(said, {
    exceptions: ['closed: cannot be read (EACCES)', 'secret: cannot be read (EACCES)'],
    names: ['closed', 'open', 'secret'],
    isMissing: true,
    unreadable: 2,
  });
});

test('another file system mounted within stands for an empty directory', { skip: needsRoot() }, async (t) => {
  const fixture = await makeFixture(t);
  const mountpoint = join(fixture.data, 'mounted');
  fs.mkdirSync(mountpoint);
  fs.writeFileSync(join(fixture.data, 'file'), noise(1, 5000));
  await promisify(execFile)('mount', ['-t', 'tmpfs', 'covault-test', mountpoint]);
  try {
    fs.writeFileSync(join(mountpoint, 'foreign'), noise(2, 5000));
    const index = await fixture.open();
    const cut = await index.openCut();
    const entries = await entriesOf(cut);
    assert.deepEqual([...entries.keys()].sort(), ['file', 'mounted']);
    assert.equal(entries.get('mounted')?.kind, 'directory');
    await cut.close();
    assert.equal(index.status().foreign, 1);
    assert.equal(index.status().bytesHashed, 5000);
    await index.close();
  } finally {
    await promisify(execFile)('umount', [mountpoint]);
  }
});

test('an inode number used again is another file', async (t) => {
  const fixture = await makeFixture(t);
  const directory = new RecordedDirectory(fixture.data);
  directory.create('first', noise(1, 20_000));
  const index = await openReporting(fixture, directory);
  await index.level();
  const inode = directory.inode('first');
  directory.remove('first');
  directory.create('second', noise(2, 20_000));
  // Most file systems give the number out again at once; where not, the engine's report is made to say so.
  const reported = directory.take().map((mutation): Mutation => mutation);
  assert.ok(reported.some(({ kind }) => kind === 'create'));
  index.consume(reported);
  const sight = await sightOf(index);
  assert.deepEqual(sight, await fixture.fresh());
  assert.equal(sight.entries.length, 1);
  assert.ok(inode > 0n);
});
