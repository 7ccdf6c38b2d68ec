/** The whole path with real processes: mount ▸ index ▸ repository ▸ snapshot from peers ▸ browse ▸ restore ▸ check. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { addOddities } from '../../scripts/demo/fill.ts';
import { compareTrees } from '../../src/browse/compare-trees.ts';
import { contentOf, writeFiles } from './files.ts';
import { type Client, makeStage, type Stage } from './stage.ts';

const shared = { seed: 'shared', count: 150, bytesEach: 60_000 };

async function assertSame(a: string, b: string): Promise<void> {
  const { identical, differences, files } = await compareTrees(a, b);
  const told = differences.map((found) => `${Buffer.from(found.path)}: ${found.aspect}: ${found.a} / ${found.b}`);
  assert.deepEqual(told, []);
  assert.ok(identical && files > 0);
}

async function makeDomain(t: import('node:test').TestContext) {
  const stage = makeStage(t);
  await stage.startRepository();
  const laptop = await stage.startClient('laptop');
  const desktop = await stage.startClient('desktop');
  await stage.join('vault', 'secondary');
  return { stage, laptop, desktop };
}

function snapshot(stage: Stage, client: Client) {
  return stage.do(['snapshot', client.name, '--to', stage.path('store'), '--state', stage.stateOf('vault')]);
}

test('a snapshot comes mostly from a peer, is what the client has, and comes back as it was', async (t) => {
  const { stage, laptop, desktop } = await makeDomain(t);
  writeFiles(laptop.data, shared);
  writeFiles(desktop.data, shared);
  writeFiles(laptop.data, { seed: 'own', count: 5, bytesEach: 50_000 });
  await addOddities(laptop.data);
  await stage.published(laptop, desktop);

  const sharedBytes = shared.count * shared.bytesEach;
  const dryRun = ['snapshot', laptop.name, '--to', stage.path('store'), '--state', stage.stateOf('vault'), '--dry-run'];
  const planned = await stage.do(dryRun);
  const idle = { load: 0, price: 1 };
  assert.deepEqual([planned.type, planned.peers], ['plan', [{ peer: 'desktop', bytes: sharedBytes, ...idle }]]);
  assert.ok(planned.sourceBytes >= 5 * 50_000 && planned.bytes === planned.sourceBytes + sharedBytes);
  assert.ok(!fs.existsSync(stage.path('store')), 'no store is made');

  const first = await snapshot(stage, laptop);
  assert.deepEqual(first.peers, [{ peer: 'desktop', bytes: sharedBytes }]);
  assert.ok(first.fromSource < 5 * 50_000 + 200_000, `${first.fromSource} bytes from the source`);
  assert.ok(first.fromSource <= first.onlyAtSource * 1.02);
  assert.deepEqual(Object.keys(first).slice(0, 8), [
    'type',
    'snapshot',
    'files',
    'bytes',
    'newBytes',
    'fromSource',
    'peers',
    'seconds',
  ]);

  const view = stage.path('view');
  fs.mkdirSync(view);
  const browser = await stage.start(['browse', stage.path('store'), view]);
  assert.deepEqual(fs.readdirSync(view), ['laptop']);
  await assertSame(laptop.data, join(view, 'laptop', 'latest'));
  assert.throws(() => fs.writeFileSync(join(view, 'laptop', 'latest', 'new'), ''), { code: 'EROFS' });

  const restored = await stage.do(['restore', stage.path('store'), 'laptop/latest', stage.path('restored')]);
  assert.equal(restored.exceptionCount, 0);
  await assertSame(laptop.data, stage.path('restored'));

  const part = stage.path('part');
  const path = 'own/0/file-3';
  await stage.do(['restore', stage.path('store'), 'laptop/latest', part, '--path', path]);
  assert.deepEqual(fs.readFileSync(join(part, path)), contentOf('own 3', 50_000));
  assert.deepEqual(fs.readdirSync(part), ['own']);

  const report = await stage.do(['check', stage.path('store'), '--read-data']);
  assert.deepEqual([report.ok, report.snapshots, report.findings], [true, 1, []]);
  assert.ok(report.bytesRead > sharedBytes);
  assert.equal((await browser.stop()).exitCode, 130);
});

test('after changes a second snapshot costs the changes, and a running browse shows it', async (t) => {
  const { stage, laptop, desktop } = await makeDomain(t);
  writeFiles(laptop.data, shared);
  writeFiles(desktop.data, shared);
  await stage.published(laptop, desktop);
  await snapshot(stage, laptop);
  const view = stage.path('view');
  fs.mkdirSync(view);
  await stage.start(['browse', stage.path('store'), view]);
  const [firstName = ''] = fs.readdirSync(join(view, 'laptop'));

  const hashedBefore = (await stage.do(['status', '--state', laptop.state])).index.bytesHashed;
  fs.renameSync(join(laptop.data, 'shared'), join(laptop.data, 'renamed'));
  fs.appendFileSync(join(laptop.data, 'renamed/0/file-7'), 'more');
  fs.rmSync(join(laptop.data, 'renamed/1'), { recursive: true });
  fs.chmodSync(join(laptop.data, 'renamed/0/file-8'), 0o600);
  fs.truncateSync(join(laptop.data, 'renamed/0/file-9'), 1000);

  const second = await snapshot(stage, laptop);
  const hashed = (await stage.do(['status', '--state', laptop.state])).index.bytesHashed - hashedBefore;
  assert.equal(second.files, 100);
  assert.ok(second.newBytes < 200_000, `${second.newBytes} new bytes`);
  assert.ok(hashed < 400_000, `${hashed} bytes hashed: a rename costs no hashing`);

  const names = await waitForName(join(view, 'laptop'), second.time);
  assert.ok(names.includes(firstName) && names.includes('latest'));
  await assertSame(laptop.data, join(view, 'laptop', second.time));
  const { snapshots } = await stage.do(['snapshots', stage.path('store'), '--client', 'laptop']);
  assert.equal(snapshots.length, 2);
  assert.deepEqual((await stage.do(['check', stage.path('store')])).findings, []);
});

/** A browse that runs looks for new snapshots about every second. */
async function waitForName(directory: string, name: string): Promise<string[]> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const names = fs.readdirSync(directory);
    if (names.includes(name)) return names;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${name} does not appear in ${directory}`);
}

test('a client alone is mounted, at another place too, and its files stay plain files', async (t) => {
  const stage = makeStage(t);
  const [data, at] = [stage.path('data'), stage.path('at')];
  for (const path of [data, at]) fs.mkdirSync(path);
  fs.writeFileSync(join(data, 'before'), 'from before');
  const daemon = await stage.start([
    'mount',
    data,
    '--at',
    at,
    '--state',
    stage.path('state'),
    '--data-mode',
    'writeback',
  ]);
  assert.deepEqual([daemon.ready.dataMode, daemon.ready.name], ['writeback', undefined]);
  assert.equal(fs.readFileSync(join(at, 'before'), 'utf8'), 'from before');
  fs.writeFileSync(join(at, 'after'), 'through the mount');
  const status = await stage.do(['status', '--state', stage.path('state')]);
  assert.deepEqual([status.mountpoint, status.repository, status.member], [at, null, null]);
  await stage.do(['unmount', at, '--state', stage.path('state')]);
  assert.equal((await daemon.finished).exitCode, 0);
  assert.deepEqual(fs.readdirSync(at), []);
  assert.equal(fs.readFileSync(join(data, 'after'), 'utf8'), 'through the mount');
});
