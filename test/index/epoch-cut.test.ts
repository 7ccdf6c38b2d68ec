/**
 * Cuts of an index behind a mount: each is of the moment at which the engine made it, whatever is done before it gets
 * there and while it is open. The mount is in this process, so that others must use it.
 */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { systemClock } from '../../src/core/clock.ts';
import type { Cut } from '../../src/core/ports.ts';
import { decodeRecipe, isBlock } from '../../src/core/recipe.ts';
import { type DirectoryEntry, decodeTree, type TreeEntry } from '../../src/core/tree.ts';
import type { Epoch, EpochSource } from '../../src/fs/epoch.ts';
import { type MountOptions, type MountSession, mountDataDirectory } from '../../src/fs/session.ts';
import { type LiveIndex, openIndex } from '../../src/index/live-index.ts';
import { needsMount } from '../support/requirements.ts';
import { noise, testDomain } from './index-fixture.ts';

const run = promisify(execFile);
const skip = needsMount();

interface World {
  data: string;
  mountpoint: string;
  session: MountSession;
  index: LiveIndex;
  /** Runs a script in the mount, in another process. */
  sh(script: string): Promise<void>;
  /** Called when the epoch is open and the index not yet there. */
  onOpened: (() => Promise<void>) | undefined;
}

type WorldOptions = Pick<MountOptions, 'cutSpaceBytes' | 'mutationLog'>;

async function openWorld(t: TestContext, options: WorldOptions = {}): Promise<World> {
  const path = await realpath(await mkdtemp(join(tmpdir(), 'covault-epoch-cut-')));
  const [data, mountpoint, state] = [join(path, 'data'), join(path, 'mountpoint'), join(path, 'state')];
  for (const each of [data, mountpoint, state]) await mkdir(each);
  const world: Partial<World> = { data, mountpoint };
  const session = await mountDataDirectory({
    dataDirectory: data,
    at: mountpoint,
    keepOut: [],
    ...options,
    onMutations: (batch) => world.index?.consume(batch),
    onCut: (number) => world.index?.reachCut(number),
  });
  const epochs: EpochSource = {
    async openEpoch(number): Promise<Epoch> {
      const epoch = await session.openEpoch(number);
      await world.onOpened?.();
      return epoch;
    },
  };
  const index = await openIndex({
    stateDirectory: state,
    directoryFd: session.directoryFd,
    domain: testDomain,
    clock: systemClock,
    settle: () => session.settle(),
    epochs,
  });
  t.after(async () => {
    await session.unmount({ lazy: true });
    await index.close();
    await session.dispose();
    await rm(path, { recursive: true, force: true });
  });
  const sh = async (script: string) => {
    await run('sh', ['-ec', script], { cwd: mountpoint });
  };
  return Object.assign(world, { session, index, sh }) as World;
}

/** What a cut says: each path with its content, or what it is; blocks come from the index. */
async function sight(index: LiveIndex, cut: Cut): Promise<Record<string, string>> {
  const seen: Record<string, string> = {};
  const visit = async (path: string, directory: DirectoryEntry): Promise<void> => {
    const tree = await cut.readObject('tree', directory.tree);
    for (const entry of decodeTree(tree ?? assert.fail(`no tree of ${path}`))) {
      const place = join(path, Buffer.from(entry.name).toString());
      seen[place] = entry.kind === 'file' ? await contentOf(index, cut, entry) : entry.kind;
      if (entry.kind === 'directory') await visit(place, entry);
    }
  };
  await visit('', cut.root);
  return seen;
}

async function contentOf(index: LiveIndex, cut: Cut, entry: Extract<TreeEntry, { kind: 'file' }>): Promise<string> {
  const { content } = entry;
  if ('missing' in content) return 'missing';
  const { segments } =
    'segments' in content
      ? content
      : decodeRecipe((await cut.readObject('recipe', content.recipe)) ?? assert.fail('no recipe'));
  const parts: Uint8Array[] = [];
  for (const segment of segments) {
    if (!isBlock(segment)) parts.push(new Uint8Array(segment.length));
    else
      parts.push((await index.readBlock(segment.digest)) ?? assert.fail(`a block is gone (${segment.length} bytes)`));
  }
  return Buffer.concat(parts).toString('latin1');
}

/** Everything there is to be done to a directory with files a, b, c, d/e and d/f. */
const everything = `
  printf CHANGED | dd of=a bs=1 seek=20000 conv=notrunc status=none
  truncate -s 100 b
  rm c
  mv d/e e
  mv d g
  echo new > g/f.new && mv g/f.new g/f
  mkdir d && echo other > d/e
  chmod 600 a
`;

async function fill({ data, index }: World): Promise<Record<string, string>> {
  const files = {
    a: noise(1, 60_000),
    b: noise(2, 30_000),
    c: noise(3, 200),
    'd/e': noise(4, 9000),
    'd/f': noise(5, 50),
  };
  await mkdir(join(data, 'd'));
  for (const [path, content] of Object.entries(files)) await writeFile(join(data, path), content);
  await index.scan();
  const texts = Object.entries(files).map(([path, content]) => [path, content.toString('latin1')]);
  return { ...Object.fromEntries(texts), d: 'directory' };
}

test('what happens after the cut was made is not in it, and stays out', { skip, timeout: 60_000 }, async (t) => {
  const world = await openWorld(t);
  const before = await fill(world);
  world.onOpened = () => world.sh(everything);
  const cut = await world.index.openCut();
  world.onOpened = undefined;
  assert.deepEqual(cut.exceptions, []);
  assert.deepEqual(await sight(world.index, cut), before);
  // The index goes on to the present; the cut does not.
  const later = await world.index.openCut();
  const present = await sight(world.index, later);
  assert.deepEqual(Object.keys(present).sort(), ['a', 'b', 'd', 'd/e', 'e', 'g', 'g/f']);
  assert.equal(present['g/f'], 'new\n');
  assert.equal(present.b, before.b?.slice(0, 100));
  await world.sh('rm -r *');
  assert.deepEqual(await sight(world.index, cut), before);
  assert.deepEqual(await sight(world.index, later), present);
  await cut.close();
  await later.close();
  assert.deepEqual(world.session.counters().cuts.open, []);
  assert.equal((await world.index.check()).misses, 0);
});

test('what was dirty at the cut is read as it was then', { skip, timeout: 60_000 }, async (t) => {
  const world = await openWorld(t);
  await fill(world);
  world.onOpened = () => world.sh('for i in 1 2 3; do echo after > n$i; done; echo more >> a; mv h i');
  await world.sh('for i in 1 2 3; do echo before > n$i; done; mkdir h; echo deep > h/x; : > a; printf one > a');
  const cut = await world.index.openCut();
  const seen = await sight(world.index, cut);
  assert.deepEqual(
    [seen.n1, seen.n2, seen.n3, seen.a, seen['h/x'], seen['i/x']],
    ['before\n', 'before\n', 'before\n', 'one', 'deep\n', undefined],
  );
  await cut.close();
});

test('a cut that could not be kept fails and says what to do; the next is made', {
  skip,
  timeout: 60_000,
}, async (t) => {
  const world = await openWorld(t, { cutSpaceBytes: 100_000 });
  await fill(world);
  await world.sh('head -c 3000000 /dev/urandom > large');
  world.onOpened = () => world.sh('head -c 3000000 /dev/zero | dd of=large conv=notrunc status=none');
  const failed = await world.index.openCut().then(
    () => undefined,
    (error: unknown) => error as { code: string; hint: string },
  );
  assert.equal(failed?.code, 'E_NO_SPACE');
  assert.match(failed?.hint ?? '', /--cut-space/);
  world.onOpened = undefined;
  const cut = await world.index.openCut();
  assert.equal((await sight(world.index, cut)).large, '\0'.repeat(3_000_000));
  cut.renew?.();
  // While it is open it can fail as well.
  await world.sh('head -c 3000000 /dev/urandom | dd of=large conv=notrunc status=none');
  assert.throws(() => cut.renew?.(), { code: 'E_NO_SPACE' });
  await cut.close();
});

test('several cuts are made at once, and show moments in their order', { skip, timeout: 60_000 }, async (t) => {
  const world = await openWorld(t);
  await fill(world);
  const writing = world.sh('for i in $(seq 1 400); do echo $i > counter.new; mv counter.new counter; done');
  const seen: { timeNs: bigint; count: number }[] = [];
  while (seen.length < 9) {
    const cuts = await Promise.all([1, 2, 3].map(() => world.index.openCut()));
    for (const cut of cuts) {
      const { counter = '0' } = await sight(world.index, cut);
      seen.push({ timeNs: cut.timeNs, count: Number(counter) });
      await cut.close();
    }
  }
  await writing;
  const counts = seen.sort((a, b) => Number(a.timeNs - b.timeNs)).map(({ count }) => count);
  assert.deepEqual(
    counts,
    [...counts].sort((a, b) => a - b),
  );
});

test('after a log that was full the cut is of its moment all the same', { skip, timeout: 60_000 }, async (t) => {
  const world = await openWorld(t, { mutationLog: { chunkBytes: 512, chunksMax: 2, coarseRecordsMax: 4 } });
  await fill(world);
  // More than the log holds, while nobody takes from it.
  const making = world.sh('for i in $(seq 1 200); do mkdir p$i; echo $i > p$i/x; done; mv p7 q; rm -r p8; sync .');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1500);
  await making;
  assert.ok(world.session.counters().mutations.coarsened > 0);
  const again =
    'for i in $(seq 181 200); do echo later > p$i/x; mv p$i r$i; done; rm -r q d; mkdir p8; echo new > p8/y';
  world.onOpened = () => world.sh(again);
  const cut = await world.index.openCut();
  const seen = await sight(world.index, cut);
  const names = Object.keys(seen).filter((path) => path.endsWith('/x'));
  assert.equal(names.length, 199);
  for (const path of names) assert.equal(seen[path], path === 'q/x' ? '7\n' : `${path.slice(1, -2)}\n`, path);
  assert.deepEqual([seen.p7, seen.p8, seen['d/f']?.length], [undefined, undefined, 50]);
  await cut.close();
});

test('stores to mapped pages are in if they came before, and only then', { skip, timeout: 60_000 }, async (t) => {
  const world = await openWorld(t);
  await fill(world);
  const mapped = await mapIn(t, join(world.mountpoint, 'a'));
  await mapped.store(30_000, 'before');
  world.onOpened = async () => {
    await mapped.store(30_000, 'after!');
    await mapped.store(0, 'after!');
    await mapped.flush();
  };
  const cut = await world.index.openCut();
  const { a = '' } = await sight(world.index, cut);
  assert.equal(a.slice(30_000, 30_006), 'before');
  assert.equal(a.slice(0, 6), noise(1, 6).toString('latin1'));
  await cut.close();
});

/** A process that has mapped a file. */
async function mapIn(t: TestContext, path: string) {
  const program = [
    'import mmap, sys',
    "file = open(sys.argv[1], 'r+b')",
    'pages = mmap.mmap(file.fileno(), 0)',
    "print('mapped', flush=True)",
    'for line in sys.stdin:',
    '    offset, text = line.split()',
    "    if text == '-': pages.flush()",
    '    else: pages[int(offset):int(offset) + len(text)] = text.encode()',
    "    print('done', flush=True)",
  ];
  const child = spawn('python3', ['-c', program.join('\n'), path], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => child.kill());
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  await lines.next();
  const tell = async (line: string) => {
    child.stdin.write(`${line}\n`);
    await lines.next();
  };
  return { store: (offset: number, text: string) => tell(`${offset} ${text}`), flush: () => tell('0 -') };
}

test('an interrupted cut leaves no epoch, and the index goes on', { skip, timeout: 60_000 }, async (t) => {
  const world = await openWorld(t);
  await fill(world);
  await world.sh('echo x > x');
  const stop = new AbortController();
  world.onOpened = async () => stop.abort();
  await assert.rejects(world.index.openCut({ signal: stop.signal }), { code: 'E_INTERRUPTED' });
  world.onOpened = undefined;
  assert.deepEqual(world.session.counters().cuts.open, []);
  const cut = await world.index.openCut();
  assert.equal((await sight(world.index, cut)).x, 'x\n');
  await cut.close();
});
