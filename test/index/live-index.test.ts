/** What the index promises of single situations: costs, odd names, links, holes, moments. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { isCovaultError } from '../../src/core/errors.ts';
import type { Mutation } from '../../src/core/mutation.ts';
import { makeNode, openNode } from '../../src/fs/native.ts';
import { cutsMax } from '../../src/index/cuts.ts';
import type { LiveIndex } from '../../src/index/live-index.ts';
import { ordinaryUser } from '../support/mount-daemon.ts';
import { needsMountAsUser, needsRoot } from '../support/requirements.ts';
import { entriesOf, type Fixture, holdingsOf, makeFixture, noise, sightOf, testDomain } from './index-fixture.ts';
import { RecordedDirectory } from './recorded-directory.ts';

const { maxBytes } = testDomain.cut;

/** Acting as another user; whether that one may mount does not matter here. */
function needsOrdinaryUser(): false | string {
  const missing = needsRoot() || needsMountAsUser();
  return missing && /root|cannot read/.test(missing) ? missing : false;
}

/** An index over a directory that reports; what was reported is delivered when the index asks to settle. */
async function opened(
  fixture: Fixture,
  directory: RecordedDirectory,
  options: Parameters<Fixture['open']>[0] = {},
): Promise<LiveIndex> {
  const settled: { index?: LiveIndex } = {};
  const settle = async () => settled.index?.consume(directory.take());
  settled.index = await fixture.open({ settle, ...options });
  return settled.index;
}

describe('costs', () => {
  test('renaming and moving a directory hashes nothing', async (t) => {
    const fixture = await makeFixture(t);
    const directory = new RecordedDirectory(fixture.data);
    directory.makeDirectory('a');
    directory.makeDirectory('a/b');
    directory.makeDirectory('c');
    for (let number = 0; number < 300; number++) directory.create(`a/b/${number}`, noise(number, 3000));
    const index = await opened(fixture, directory);
    const before = await sightOf(index);
    const hashed = index.status().bytesHashed;
    directory.rename('a', 'c/moved');
    directory.rename('c/moved/b/7', 'c/seven');
    const after = await sightOf(index);
    assert.notEqual(after.root, before.root);
    assert.deepEqual(after.holdings, before.holdings);
    assert.deepEqual(after, await fixture.fresh());
    assert.equal(index.status().bytesHashed, hashed);
  });

  test('changed attributes hash nothing, not even after the next start', async (t) => {
    const fixture = await makeFixture(t);
    const directory = new RecordedDirectory(fixture.data);
    for (let number = 0; number < 20; number++) directory.create(`${number}`, noise(number, 5000));
    const index = await opened(fixture, directory);
    await index.level();
    const hashed = index.status().bytesHashed;
    for (let number = 0; number < 20; number++) directory.changeMode(`${number}`, 0o600);
    directory.setTime('3', 1_000_000);
    directory.setXattr('4', 'user.x', 'y');
    assert.deepEqual(await sightOf(index), await fixture.fresh());
    assert.equal(index.status().bytesHashed, hashed);
    // Beyond what a stamp takes for too close, so that the start is not allowed to guess.
    await new Promise((resolve) => setTimeout(resolve, 2100));
    await index.level();
    await index.close();
    const again = await opened(fixture, directory);
    assert.deepEqual(await sightOf(again), await fixture.fresh());
    assert.equal(again.found, 'clean');
    assert.equal(again.status().bytesHashed, 0);
  });

  test('a small write into a large file hashes a few blocks', async (t) => {
    const fixture = await makeFixture(t);
    const directory = new RecordedDirectory(fixture.data);
    directory.create('large', noise(1, 3_000_000));
    const index = await opened(fixture, directory);
    await index.level();
    const hashed = index.status().bytesHashed;
    directory.write('large', 1_000_000, noise(2, 4096));
    directory.write('large', 2_000_000, noise(3, 4096));
    assert.deepEqual(await sightOf(index), await fixture.fresh());
    const again = index.status().bytesHashed - hashed;
    assert.ok(again > 0 && again <= 6 * maxBytes, `${again} bytes were hashed`);
  });

  test('bytes inserted into a file leave nearly all of its blocks as they are', async (t) => {
    const fixture = await makeFixture(t);
    const directory = new RecordedDirectory(fixture.data);
    const content = noise(1, 2_000_000);
    directory.create('file', content);
    const index = await opened(fixture, directory);
    await index.level();
    const sequence = index.feed.lastSequence();
    directory.create('file', Buffer.concat([content.subarray(0, 700_000), noise(2, 100), content.subarray(700_000)]));
    await index.level();
    const { gained, lost } = index.feed.changesAfter(sequence, 1000);
    // A block or two, and the recipe.
    assert.ok(gained.length >= 2 && gained.length <= 5, `${gained.length} digests gained`);
    assert.ok(lost.length >= 2 && lost.length <= 5, `${lost.length} digests lost`);
  });

  test('a file of a terabyte of holes is read in no time', async (t) => {
    const fixture = await makeFixture(t);
    fs.writeFileSync(join(fixture.data, 'sparse'), noise(1, 2000));
    fs.truncateSync(join(fixture.data, 'sparse'), 2 ** 40);
    const index = await fixture.open();
    const cut = await index.openCut();
    const entry = (await entriesOf(cut)).get('sparse');
    assert.ok(entry?.kind === 'file' && 'segments' in entry.content);
    assert.equal(entry.size, 2 ** 40);
    assert.deepEqual(entry.content.segments.at(-1), { length: 2 ** 40 - 2048 });
    assert.equal(index.status().bytesHashed, 2048);
    await cut.close();
  });
});

describe('what a directory may contain', () => {
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
    const index = await opened(fixture, directory);
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
    assert.deepEqual(JSON.parse(stdout), {
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
    const index = await opened(fixture, directory);
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
});

test('a file of which parts were read again is read as a whole when anything may have changed', async (t) => {
  const fixture = await makeFixture(t);
  const directory = new RecordedDirectory(fixture.data);
  directory.create('file', noise(1, 200_000));
  directory.take();
  const index = await opened(fixture, directory);
  await index.level();
  directory.write('file', 10_000, noise(2, 100));
  directory.take();
  directory.write('file', 150_000, noise(3, 100));
  // One write is told now, the other only as "something in here", long after.
  index.consume(directory.take());
  const hashed = index.status().bytesHashed;
  while (index.status().bytesHashed === hashed || index.status().filesDirty > 0) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await new Promise((resolve) => setTimeout(resolve, 2200));
  index.consume([{ kind: 'subtree', inode: directory.inode('') }]);
  assert.deepEqual(await sightOf(index), await fixture.fresh());
});

describe('cuts', () => {
  test('a cut stays what it was while the directory goes on', async (t) => {
    const fixture = await makeFixture(t);
    const directory = new RecordedDirectory(fixture.data);
    directory.makeDirectory('d');
    for (let number = 0; number < 50; number++) directory.create(`d/${number}`, noise(number, 30_000));
    const index = await opened(fixture, directory);
    const cut = await index.openCut();
    const before = await entriesOf(cut);
    directory.rename('d', 'e');
    for (let number = 0; number < 25; number++) directory.remove(`e/${number}`);
    for (let number = 25; number < 50; number++) directory.create(`e/${number}`, noise(number + 100, 30_000));
    const later = await index.openCut();
    assert.notDeepEqual(later.root.tree, cut.root.tree);
    assert.deepEqual(await entriesOf(cut), before);
    for (const entry of before.values()) {
      if (entry.kind !== 'file' || !('recipe' in entry.content)) continue;
      assert.ok(await cut.readObject('recipe', entry.content.recipe));
      assert.equal(await later.readObject('recipe', entry.content.recipe), undefined);
    }
    await cut.close();
    await cut.close();
    await assert.rejects(cut.readObject('tree', cut.root.tree), (error) => isCovaultError(error, 'E_NOT_FOUND'));
    await later.close();
    assert.equal(index.status().openCuts, 0);
  });

  test('only so many can be open', async (t) => {
    const fixture = await makeFixture(t);
    const index = await fixture.open();
    for (let count = 0; count < cutsMax; count++) await index.openCut();
    await assert.rejects(index.openCut(), (error) => isCovaultError(error, 'E_BUSY'));
  });

  test('a file that never stops changing does not hold up a cut, and is named', async (t) => {
    const fixture = await makeFixture(t);
    const path = join(fixture.data, 'restless');
    fs.writeFileSync(path, noise(1, 8_000_000));
    fs.writeFileSync(join(fixture.data, 'calm'), noise(2, 5000));
    const index = await fixture.open();
    const fd = fs.openSync(path, 'r+');
    let writing = true;
    const writer = (async () => {
      for (let at = 0; writing; at = (at + 1000) % 8_000_000) {
        fs.writeSync(fd, noise(at, 100), 0, 100, at);
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    try {
      const cut = await index.openCut();
      const named = (cut.exceptions ?? []).map((exception) => Buffer.from(exception.path).toString());
      assert.deepEqual(named, ['restless']);
      const entry = (await entriesOf(cut)).get('restless');
      assert.ok(entry?.kind === 'file' && 'recipe' in entry.content);
      assert.ok(await cut.readObject('recipe', entry.content.recipe));
      await cut.close();
    } finally {
      writing = false;
      await writer;
      fs.closeSync(fd);
    }
    const calm = await index.openCut();
    assert.deepEqual(calm.exceptions, []);
    await calm.close();
    assert.deepEqual(await sightOf(index), await fixture.fresh());
  });

  test('waiting for one can be interrupted', async (t) => {
    const fixture = await makeFixture(t);
    fs.writeFileSync(join(fixture.data, 'file'), noise(1, 100_000));
    const never = Promise.withResolvers<void>();
    const index = await fixture.open({ settle: () => never.promise });
    const interruption = new AbortController();
    const cut = index.openCut({ signal: interruption.signal });
    setTimeout(() => {
      interruption.abort();
      never.resolve();
    }, 50);
    await assert.rejects(cut, (error) => isCovaultError(error, 'E_INTERRUPTED'));
  });
});

describe('blocks', () => {
  test('are read from wherever they still are, and never wrong', async (t) => {
    const fixture = await makeFixture(t);
    const directory = new RecordedDirectory(fixture.data);
    const content = noise(1, 4000);
    directory.create('a', content);
    directory.create('b', content);
    const index = await opened(fixture, directory);
    await index.level();
    const [digest] = index.feed.changesAfter(0, 10).gained;
    assert.ok(digest);
    assert.deepEqual(Buffer.from((await index.readBlock(digest)) ?? []), content);
    // Nobody tells the index of these.
    fs.writeFileSync(directory.path('a'), noise(2, 4000));
    assert.deepEqual(Buffer.from((await index.readBlock(digest)) ?? []), content);
    fs.writeFileSync(directory.path('b'), content.subarray(0, 100));
    assert.equal(await index.readBlock(digest), undefined);
    fs.unlinkSync(directory.path('b'));
    fs.unlinkSync(directory.path('a'));
    assert.equal(await index.readBlock(digest), undefined);
    assert.equal(await index.readBlock(new Uint8Array(32)), undefined);
  });
});

describe('scans', () => {
  test('can be interrupted and go on', async (t) => {
    const fixture = await makeFixture(t);
    for (let outer = 0; outer < 40; outer++) {
      fs.mkdirSync(join(fixture.data, `${outer}`));
      for (let inner = 0; inner < 10; inner++)
        fs.writeFileSync(join(fixture.data, `${outer}`, `${inner}`), noise(inner, 100));
    }
    const index = await fixture.open();
    const interruption = new AbortController();
    const scan = index.scan({ signal: interruption.signal, onProgress: () => interruption.abort() });
    await assert.rejects(scan, (error) => isCovaultError(error, 'E_INTERRUPTED'));
    assert.equal(index.status().isLevel, false);
    const report = await index.scan();
    assert.deepEqual([report.found, report.directories, report.files, report.bytes], ['fresh', 41, 400, 40_000]);
    assert.deepEqual(await sightOf(index), await fixture.fresh());
    assert.equal(index.status().isLevel, true);
  });

  test('find what changed while the index was closed, and hash only that', async (t) => {
    const fixture = await makeFixture(t);
    const directory = new RecordedDirectory(fixture.data);
    for (let number = 0; number < 30; number++) directory.create(`${number}`, noise(number, 2000));
    const index = await opened(fixture, directory);
    await new Promise((resolve) => setTimeout(resolve, 2100));
    await index.level();
    await index.close();
    directory.write('3', 500, noise(99, 10));
    directory.remove('4');
    directory.rename('5', 'five');
    directory.makeDirectory('d');
    directory.create('d/new', noise(77, 1000));
    directory.take();
    const again = await opened(fixture, directory);
    const report = await again.scan();
    assert.equal(report.found, 'clean');
    // The written, the renamed (its ctime is new) and the new one.
    assert.equal(report.filesChanged, 3);
    assert.deepEqual(await sightOf(again), await fixture.fresh());
    assert.equal(again.status().bytesHashed, 5000);
  });

  test('take in what is reported while they run', async (t) => {
    const fixture = await makeFixture(t);
    const directory = new RecordedDirectory(fixture.data);
    for (let outer = 0; outer < 60; outer++) {
      directory.makeDirectory(`${outer}`);
      for (let inner = 0; inner < 10; inner++) directory.create(`${outer}/${inner}`, noise(inner, 300));
    }
    directory.take();
    const index = await opened(fixture, directory);
    const scan = index.scan();
    for (let number = 0; number < 60; number += 3) {
      directory.rename(`${number}`, `moved-${number}`);
      directory.remove(`moved-${number}/5`);
      directory.create(`moved-${number}/new`, noise(number, 700));
      directory.rename(`${number + 1}/1`, `moved-${number}/one`);
      index.consume(directory.take());
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await scan;
    assert.deepEqual(await sightOf(index), await fixture.fresh());
  });
});

describe('checks', () => {
  test('find what was never reported, say so, and mend it', async (t) => {
    const fixture = await makeFixture(t);
    const directory = new RecordedDirectory(fixture.data);
    directory.makeDirectory('d');
    for (let number = 0; number < 10; number++) directory.create(`d/${number}`, noise(number, 2000));
    const told: string[] = [];
    const onMiss = (path: Uint8Array, what: string) => told.push(`${Buffer.from(path)}: ${what}`);
    const index = await opened(fixture, directory, { onMiss });
    assert.deepEqual((await index.check()).differences, []);
    fs.writeFileSync(directory.path('d/unseen'), 'x');
    fs.unlinkSync(directory.path('d/3'));
    fs.chmodSync(directory.path('d/4'), 0o400);
    const { atime, mtime } = fs.statSync(directory.path('d/5'));
    fs.writeFileSync(directory.path('d/5'), noise(55, 2000));
    fs.utimesSync(directory.path('d/5'), atime, mtime);
    const report = await index.check();
    assert.equal(report.misses, report.differences.length);
    assert.equal(index.status().misses, report.misses);
    assert.equal(told.length, report.misses);
    for (const wanted of ['d/unseen: missing in the index', 'd/3: gone from the directory', 'd/4: other attributes']) {
      assert.ok(told.includes(wanted), `${wanted} is not among ${told}`);
    }
    assert.ok(told.some((line) => line.startsWith('d/5: other')));
    assert.deepEqual(await sightOf(index), await fixture.fresh());
    assert.equal((await index.check()).misses, 0);
  });
});

test('holdings are pages of one moment', async (t) => {
  const fixture = await makeFixture(t);
  const directory = new RecordedDirectory(fixture.data);
  for (let number = 0; number < 20; number++) directory.create(`${number}`, noise(number, 40_000));
  const index = await opened(fixture, directory);
  await index.level();
  const all = holdingsOf(index);
  const holdings = index.feed.holdings(7);
  const pages = holdings.pages[Symbol.iterator]();
  const first = pages.next().value;
  for (let number = 0; number < 20; number++) directory.remove(`${number}`);
  await index.level();
  const rest: Uint8Array[] = [];
  for (let page = pages.next(); !page.done; page = pages.next()) rest.push(...page.value);
  holdings.close();
  assert.deepEqual(
    [...(first ?? []), ...rest].map((digest) => Buffer.from(digest).toString('hex')),
    all,
  );
  const { lost } = index.feed.changesAfter(holdings.sequence, 100_000);
  assert.equal(lost.length, all.length);
  assert.deepEqual(holdingsOf(index), []);
});
