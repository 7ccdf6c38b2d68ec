/** Stores mounted for real by another process, through the addon and through `fuse-native`. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  accessSync,
  constants,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { lstat, mkdir, open, readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { compareTrees } from '../../src/browse/compare-trees.ts';
import { loadFuseNative } from '../../src/browse/fuse-native.ts';
import { browseStore } from '../../src/browse/serve-browse.ts';
import { addonProblem } from '../../src/fs/native.ts';
import { oddModel, plainModel, storeToBrowse } from './browsed-store.ts';
import { MemoryStore } from './memory-store.ts';
import { temporaryDirectory, writeModel } from './model-on-disk.ts';

type Through = 'automatic' | 'fuse-native';

function canMount(): boolean {
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

const withoutFuse = canMount() ? false : '/dev/fuse cannot be opened';
const hasFuseNative = canLoadFuseNative();

function canLoadFuseNative(): boolean {
  try {
    loadFuseNative();
    return true;
  } catch {
    return false;
  }
}

interface Browsed {
  mountpoint: string;
  /** What serves it. */
  through: string;
  stop(): Promise<void>;
  problems(): string;
}

/** Serves the sample store in another process until the test ends. */
async function browse(t: TestContext, through: Through, nodeOptions: string[] = []): Promise<Browsed> {
  const top = mkdtempSync(join(tmpdir(), 'covault-browse-'));
  const mountpoint = join(top, 'mnt');
  mkdirSync(mountpoint);
  const script = new URL('browse-daemon.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [...nodeOptions, script, mountpoint, through], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let problems = '';
  child.stderr.on('data', (chunk) => {
    problems += chunk;
  });
  const exited = once(child, 'exit');
  const stop = async () => {
    child.stdin.end();
    await exited;
    assert.equal(readFileSync('/proc/self/mounts', 'utf8').includes(mountpoint), false, 'nothing is left mounted');
  };
  // In this order, whatever the test did: what is in a mount must not be removed.
  t.after(async () => {
    await stop();
    rmSync(top, { recursive: true, force: true });
  });
  const { through: served } = await ready(child, () => problems);
  return { mountpoint, through: served, stop, problems: () => problems };
}

/** The first line that it prints; rejects with what it complained about if there is none. */
async function ready(child: ChildProcess, problems: () => string): Promise<{ through: string }> {
  assert.ok(child.stdout);
  const [first] = await Promise.race([once(child.stdout, 'data'), once(child, 'close')]);
  if (!Buffer.isBuffer(first)) throw new Error(problems());
  return JSON.parse(first.toString());
}

const day = '2026-11-22T12-00-00Z';

describe('a browsed store', { skip: withoutFuse }, () => {
  const kinds: { through: Through; skip: string | false }[] = [
    { through: 'automatic', skip: addonProblem()?.message ?? false },
    { through: 'fuse-native', skip: hasFuseNative ? false : 'fuse-native cannot be loaded' },
  ];
  for (const { through, skip } of kinds) {
    it(`is the same as what was copied, through ${through}`, { skip }, async (t) => {
      const { mountpoint } = await browse(t, through);
      const expected = join(temporaryDirectory(t), 'plain');
      writeModel(expected, plainModel());
      const { differences, files } = await compareTrees(join(mountpoint, 'plain', day), expected);
      assert.deepEqual(differences, []);
      assert.ok(files > 800);
    });

    it(`is read-only and shows damage as an error, through ${through}`, { skip }, async (t) => {
      const { mountpoint, problems } = await browse(t, through);
      assert.deepEqual((await readdir(mountpoint)).sort(), ['damaged', 'odd', 'plain']);
      assert.equal(await readlink(join(mountpoint, 'plain/latest')), day);
      assert.equal(await readFile(join(mountpoint, 'plain/latest/a.txt'), 'utf8'), 'content');
      await assert.rejects(writeFile(join(mountpoint, 'plain/latest/new'), ''), { code: 'EROFS' });
      await assert.rejects(mkdir(join(mountpoint, 'other')), { code: 'EROFS' });
      await assert.rejects(lstat(join(mountpoint, 'plain/latest/nothing')), { code: 'ENOENT' });
      const file = await open(join(mountpoint, 'damaged/latest/f'));
      await assert.rejects(file.read(Buffer.alloc(10), 0, 10, 139_000), { code: 'EIO' });
      await file.close();
      assert.match(problems(), /damaged\/.*\/f: block .* is missing/);
      assert.equal(await readFile(join(mountpoint, 'damaged/latest/g'), 'utf8'), 'intact');
    });

    it(`is gone when its process is told to stop, also while it is in use, through ${through}`, { skip }, async (t) => {
      const { mountpoint, stop } = await browse(t, through);
      const file = await open(join(mountpoint, 'plain/latest/a.txt'));
      await stop();
      assert.deepEqual(readdirSync(mountpoint), []);
      await file.close().catch(() => undefined);
    });
  }

  it('shows names of any bytes and times to the nanosecond', { skip: addonProblem()?.message ?? false }, async (t) => {
    const { mountpoint } = await browse(t, 'automatic');
    const expected = join(temporaryDirectory(t), 'odd');
    writeModel(expected, oddModel());
    assert.deepEqual((await compareTrees(join(mountpoint, 'odd', day), expected)).differences, []);
  });

  it('answers many readers at once', { skip: addonProblem()?.message ?? false }, async (t) => {
    const { mountpoint } = await browse(t, 'automatic');
    const names = (await readdir(join(mountpoint, 'plain/latest/many'))).slice(0, 400);
    const contents = await Promise.all(
      names.map((name) => readFile(join(mountpoint, 'plain/latest/many', name), 'utf8')),
    );
    assert.deepEqual(
      contents.map((content) => `file-${content}`),
      names,
    );
  });
});

describe('without the addon', { skip: withoutFuse }, () => {
  const hiding = (...names: string[]) => [
    '--import',
    new URL(`hidden-modules.ts?${names.join()}`, import.meta.url).href,
  ];

  it('fuse-native serves the store', { skip: hasFuseNative ? false : 'fuse-native cannot be loaded' }, async (t) => {
    const { mountpoint, through } = await browse(t, 'automatic', hiding('covault.node'));
    assert.equal(through, 'fuse-native');
    assert.equal(await readFile(join(mountpoint, 'plain/latest/a.txt'), 'utf8'), 'content');
  });

  it('and without fuse-native, what is missing is said, with what to do about it', async (t) => {
    const attempt = browse(t, 'automatic', hiding('covault.node', 'fuse-native'));
    await assert.rejects(attempt, /E_REQUIREMENT[\s\S]*npm run build/);
  });
});

describe('a mountpoint', () => {
  it('is refused if it is the store, in the store, not empty or not there', async (t) => {
    const top = temporaryDirectory(t);
    const store = join(top, 'store');
    await mkdir(join(store, 'packs'), { recursive: true });
    symlinkSync('store', join(top, 'alias'));
    writeFileSync(join(top, 'file'), '');
    for (const place of ['store', 'store/packs', 'alias', 'alias/packs']) {
      const refused = browseStore({ reader: new MemoryStore(), mountpoint: join(top, place), keepOut: [store] });
      await assert.rejects(refused, { code: 'E_BAD_INPUT' });
    }
    if (withoutFuse) return;
    for (const through of ['automatic', ...(hasFuseNative ? ['fuse-native'] : [])] as Through[]) {
      const attempt = (place: string) =>
        browseStore({ reader: storeToBrowse(), mountpoint: join(top, place), keepOut: [store], through });
      await assert.rejects(attempt('.'), { code: 'E_BAD_INPUT' });
      await assert.rejects(attempt('file'), { code: 'E_BAD_INPUT' });
      await assert.rejects(attempt('nowhere'), { code: 'E_NOT_FOUND' });
    }
    assert.equal(statSync(store).isDirectory(), true);
  });
});
