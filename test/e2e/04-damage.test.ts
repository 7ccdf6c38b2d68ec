/** Wrong passwords, damaged stores and full disks end in a clear error or a correct result. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { compareTrees } from '../../src/browse/compare-trees.ts';
import { contentOf, writeFiles } from './files.ts';
import { type Client, makeStage, type Stage } from './stage.ts';

const files = { seed: 'laptop', count: 40, bytesEach: 100_000 };

async function makeScene(t: TestContext): Promise<{ stage: Stage; laptop: Client; store: string }> {
  const stage = makeStage(t);
  await stage.startRepository();
  const laptop = await stage.startClient('laptop');
  await stage.join('vault', 'secondary');
  writeFiles(laptop.data, files);
  await stage.published(laptop);
  return { stage, laptop, store: stage.path('store') };
}

function snapshotWords(stage: Stage, store: string): string[] {
  return ['snapshot', 'laptop', '--to', store, '--state', stage.stateOf('vault')];
}

/** The largest file below a folder: a pack of blocks. */
function largestBelow(folder: string): string {
  const paths = fs.readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name));
  const sized = paths
    .filter((path) => fs.statSync(path).isFile())
    .map((path) => ({ path, size: fs.statSync(path).size }));
  const largest = sized.sort((a, b) => b.size - a.size)[0];
  assert.ok(largest, `${folder} has files`);
  return largest.path;
}

test('a wrong password is refused by every command that opens the store', async (t) => {
  const { stage, store } = await makeScene(t);
  await stage.do(snapshotWords(stage, store));
  fs.mkdirSync(stage.path('view'));
  const commands = [
    ['snapshots', store],
    ['check', store],
    ['restore', store, 'latest', stage.path('restored')],
    ['browse', store, stage.path('view')],
    snapshotWords(stage, store),
  ];
  for (const words of commands) {
    const { exitCode, last } = await stage.run(words, { env: { COVAULT_PASSWORD: 'wrong horse' } });
    assert.deepEqual([exitCode, last.code], [5, 'E_AUTH'], words[0]);
  }
  assert.equal(fs.existsSync(stage.path('restored')), false);
  assert.equal((await stage.do(['check', store])).ok, true);
});

test('a truncated pack is found, what it costs is named, and the rest can be restored', async (t) => {
  const { stage, store } = await makeScene(t);
  await stage.do(snapshotWords(stage, store));
  const pack = largestBelow(join(store, 'packs'));
  fs.chmodSync(pack, 0o600);
  fs.truncateSync(pack, Math.floor(fs.statSync(pack).size / 2));

  const report = await stage.run(['check', store, '--read-data']);
  assert.equal(report.exitCode, 3);
  assert.equal(report.last.ok, false);
  const damage = report.last.findings.filter(({ severity }: { severity: string }) => severity === 'damage');
  const affected = new Set<string>(
    damage.flatMap((finding: { affected: { path: string }[] }) => finding.affected.map(({ path }) => path)),
  );
  assert.ok(affected.size > 0);

  const restored = stage.path('restored');
  const restore = await stage.run(['restore', store, 'laptop/latest', restored]);
  assert.equal(restore.exitCode, 3);
  const lost = new Set(restore.last.exceptions.map(({ path }: { path: string }) => path));
  for (let number = 0; number < files.count; number++) {
    const path = `laptop/0/file-${number}`;
    if (lost.has(path)) assert.ok(affected.has(path), `${path} was named by the check`);
    else assert.deepEqual(fs.readFileSync(join(restored, path)), contentOf(`laptop ${number}`, files.bytesEach));
  }
  assert.ok(lost.size > 0 && lost.size < files.count, `${lost.size} files are lost`);
});

test('a bit that flips is found by reading, and by whoever reads the file', async (t) => {
  const { stage, store } = await makeScene(t);
  await stage.do(snapshotWords(stage, store));
  const pack = largestBelow(join(store, 'packs'));
  fs.chmodSync(pack, 0o600);
  const bytes = fs.readFileSync(pack);
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 4;
  fs.writeFileSync(pack, bytes);

  assert.equal((await stage.run(['check', store, '--read-data'])).exitCode, 3);
  const view = stage.path('view');
  fs.mkdirSync(view);
  await stage.start(['browse', store, view]);
  let damaged = 0;
  for (let number = 0; number < files.count; number++) {
    const path = join(view, 'laptop/latest/laptop/0', `file-${number}`);
    try {
      assert.deepEqual(fs.readFileSync(path), contentOf(`laptop ${number}`, files.bytesEach), 'never false bytes');
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'EIO', String(error));
      damaged += 1;
    }
  }
  assert.equal(damaged, 1);
});

test('a store whose config is damaged is said to be so', async (t) => {
  const { stage, store } = await makeScene(t);
  await stage.do(snapshotWords(stage, store));
  const config = join(store, 'config');
  fs.chmodSync(config, 0o600);
  fs.truncateSync(config, 40);
  const { exitCode, last } = await stage.run(['snapshots', store]);
  assert.deepEqual([exitCode, last.code], [7, 'E_CORRUPT']);
});

/** A file system of its own, of so many MB, at `directory`; the stage detaches it. */
function mountSmallDisk(stage: Stage, directory: string, megabytes: number): void {
  const image = stage.path('disk.img');
  fs.writeFileSync(image, '');
  fs.truncateSync(image, megabytes * 1_000_000);
  execFileSync('mkfs.ext4', ['-q', '-m', '0', image]);
  fs.mkdirSync(directory);
  execFileSync('mount', ['-o', 'loop', image, directory]);
}

/** Why there can be no small disk here, or false. */
function smallDiskProblem(): string | false {
  if (process.getuid?.() !== 0) return 'only root can mount a small disk';
  if (!fs.existsSync('/dev/loop-control')) return 'this machine has no loop devices';
  return fs.existsSync('/usr/sbin/mkfs.ext4') || fs.existsSync('/sbin/mkfs.ext4')
    ? false
    : 'mkfs.ext4 is not installed';
}

test('a full disk stops a snapshot with its own status; with room made, it goes on', {
  skip: smallDiskProblem(),
}, async (t) => {
  const { stage, laptop } = await makeScene(t);
  writeFiles(laptop.data, { seed: 'more', count: 100, bytesEach: 100_000 });
  const disk = stage.path('disk');
  mountSmallDisk(stage, disk, 40);
  const store = join(disk, 'store');
  // Leaves room for a part of the 14 MB.
  fs.writeFileSync(join(disk, 'ballast'), contentOf('ballast', 22_000_000));

  const full = await stage.run(snapshotWords(stage, store));
  assert.deepEqual([full.exitCode, full.last.code], [8, 'E_NO_SPACE'], JSON.stringify(full.last));
  assert.deepEqual((await stage.do(['snapshots', store])).snapshots, []);

  fs.rmSync(join(disk, 'ballast'));
  const second = await stage.do(snapshotWords(stage, store));
  assert.deepEqual(second.exceptions, []);
  const restored = stage.path('restored');
  await stage.do(['restore', store, 'laptop/latest', restored]);
  assert.ok((await compareTrees(laptop.data, restored)).identical);
  assert.equal((await stage.do(['check', store, '--read-data'])).ok, true);
});

test('a data directory on a full disk stays usable, and its index recovers', {
  skip: smallDiskProblem(),
}, async (t) => {
  const stage = makeStage(t);
  const disk = stage.path('disk');
  mountSmallDisk(stage, disk, 30);
  const data = join(disk, 'data');
  fs.mkdirSync(data);
  // The state is elsewhere: what fills up is the disk with the data.
  const state = stage.path('state');
  await stage.start(['mount', data, '--state', state]);
  const write = (name: string, bytes: number) => fs.writeFileSync(join(data, name), contentOf(name, bytes));
  assert.throws(() => write('too large', 60_000_000), { code: 'ENOSPC' });
  fs.rmSync(join(data, 'too large'));
  write('small', 1_000_000);
  assert.deepEqual(fs.readFileSync(join(data, 'small')), contentOf('small', 1_000_000));
  for (let attempt = 0; attempt < 100; attempt++) {
    const { index } = await stage.do(['status', '--state', state]);
    assert.equal(index.failure, undefined);
    if (index.isLevel) return;
  }
  assert.fail('the index does not get level');
});
