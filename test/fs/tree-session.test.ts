/** A read-only mount answered by JavaScript, seen from outside. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants, existsSync } from 'node:fs';
import {
  chmod,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  readlink,
  rename,
  stat,
  symlink,
  truncate,
  unlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadAddon } from '../../src/fs/addon.ts';
import { listXattrs, removeXattr, writeXattr } from '../../src/fs/native.ts';
import { endOfSlow, entriesOfLarge, inventedContent, inventedNodes } from '../support/invented-tree.ts';
import { createSandbox, mountsWithin } from '../support/mount-daemon.ts';
import { needsMount, needsRoot } from '../support/requirements.ts';

const skip = needsMount();
const processPath = fileURLToPath(new URL('../support/tree-daemon-process.ts', import.meta.url));

interface Ending {
  readingMax: number;
  requests: Record<string, number>;
}

interface TreeDaemon {
  at: string;
  path(name: string): string;
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Unmounts lazily and gives its last words. */
  end(): Promise<Ending>;
}

async function mountInvented(t: TestContext, options: { inFlightMax?: number; at?: string } = {}): Promise<TreeDaemon> {
  const at = options.at ?? (await createSandbox(t)).data;
  const child = spawn(process.execPath, [processPath, at, String(options.inFlightMax ?? 128)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const hear = async () => JSON.parse((await lines.next()).value ?? '{"error":"silence"}');
  t.after(async () => {
    child.stdin.end();
    const timer = setTimeout(() => child.kill('SIGKILL'), 5000);
    await exited;
    clearTimeout(timer);
  });
  const first = await hear();
  if (first.error) throw Object.assign(new Error(first.message), { code: first.error });
  return {
    at,
    path: (name) => join(at, name),
    async kill(signal) {
      child.kill(signal);
      await exited;
    },
    async end() {
      child.stdin.end();
      return hear();
    },
  };
}

test('attributes are shown as the tree gives them', { skip }, async (t) => {
  const { path } = await mountInvented(t);
  const plain = await stat(path('plain'), { bigint: true });
  const { mode, uid, gid, nlink, size, blocks } = plain;
  assert.deepEqual(
    { mode, uid, gid, nlink, size, blocks },
    { mode: 0o104755n, uid: 70_000n, gid: 4_000_000_000n, nlink: 3n, size: 14n, blocks: 1n },
  );
  assert.equal(plain.ino, 2n ** 60n + 1n);
  const old = await stat(path('old'), { bigint: true });
  assert.deepEqual([old.mtimeNs, old.atimeNs], [-1n, 123_456_789n]);
  assert.equal((await stat(path('future'), { bigint: true })).mtimeNs, 9_000_000_000_123_456_789n);
  const device = await lstat(path('device'), { bigint: true });
  assert.deepEqual([device.rdev, device.mode], [0x12345678n, 0o020600n]);
  assert.ok((await lstat(path('fifo'))).isFIFO());
  assert.equal((await stat(path('.'), { bigint: true })).ino, 1n);
});

test('a directory lists all its names, whatever their bytes and number', { skip }, async (t) => {
  const { at, path } = await mountInvented(t);
  const expected = [...(inventedNodes().get(1n)?.entries?.keys() ?? [])];
  const names = (await readdir(at, { encoding: 'buffer' })).map((name) => name.toString('latin1'));
  assert.deepEqual(names.sort(), expected.sort());
  const entries = await readdir(path('large'), { withFileTypes: true });
  assert.equal(new Set(entries.map(({ name }) => name)).size, entriesOfLarge);
  assert.ok(entries.every((entry) => entry.isFile()));
  // Looking at each while listing makes the kernel ask for names and attributes together.
  for (const { name } of entries) assert.equal((await lstat(path(`large/${name}`))).mode, 0o100640);
  assert.equal(await readFile(path(`large/${'entry 4999 '}${'x'.repeat(4999 % 200)}`), 'utf8'), '4999');
});

test('content and symlinks read as they are', { skip }, async (t) => {
  const { at, path } = await mountInvented(t);
  assert.equal(await readFile(path('plain'), 'utf8'), 'plain content\n');
  assert.equal(await readFile(path('link'), 'utf8'), 'plain content\n');
  assert.deepEqual(await readlink(path('dangling'), { encoding: 'buffer' }), Buffer.from([0xff, 0x2f, 0x0a]));
  assert.ok(Buffer.from(inventedContent(5_000_001)).equals(await readFile(path('big'))));
  const odd = Buffer.concat([Buffer.from(`${at}/`), Buffer.from('\xff\xfe\n', 'latin1')]);
  assert.equal(await readFile(odd, 'utf8'), 'odd');
  await using file = await open(path('big'));
  const { bytesRead, buffer } = await file.read(Buffer.alloc(100), 0, 100, 4_999_990);
  assert.ok(Buffer.from(inventedContent(5_000_001)).subarray(4_999_990).equals(buffer.subarray(0, bytesRead)));
});

test('extended attributes are listed and read', { skip }, async (t) => {
  const { path } = await mountInvented(t);
  const xattrs = listXattrs(path('marked')).map(({ name, value }) => [
    Buffer.from(name).toString(),
    Buffer.from(value).toString('hex'),
  ]);
  assert.deepEqual(xattrs, [
    ['user.a', '00ff'],
    ['user.empty', ''],
    ['user.large', Buffer.from(inventedContent(10_000)).toString('hex')],
  ]);
  assert.deepEqual(listXattrs(path('plain')), []);
});

test('nothing can be changed', { skip }, async (t) => {
  const { path } = await mountInvented(t);
  const changes: [string, () => Promise<unknown>][] = [
    ['create', () => writeFile(path('new'), '')],
    ['write', () => writeFile(path('plain'), '')],
    ['append', () => open(path('plain'), constants.O_WRONLY | constants.O_APPEND)],
    ['truncate', () => truncate(path('plain'), 1)],
    ['mkdir', () => mkdir(path('d'))],
    ['symlink', () => symlink('x', path('s'))],
    ['link', () => link(path('plain'), path('l'))],
    ['rename', () => rename(path('plain'), path('r'))],
    ['unlink', () => unlink(path('plain'))],
    ['chmod', () => chmod(path('plain'), 0o777)],
    ['utimes', () => utimes(path('plain'), 1, 1)],
    ['setxattr', async () => writeXattr(path('plain'), 'user.x', 'y')],
    ['removexattr', async () => removeXattr(path('marked'), 'user.a')],
  ];
  for (const [what, change] of changes) await assert.rejects(change(), { code: 'EROFS' }, what);
});

test('what the tree throws is what the reader gets', { skip }, async (t) => {
  const { path } = await mountInvented(t);
  await assert.rejects(stat(path('none')), { code: 'ENOENT' });
  await assert.rejects(readFile(path('corrupt')), { code: 'EIO' });
  await assert.rejects(readFile(path('denied')), { code: 'EACCES' });
  await assert.rejects(readdir(path('plain')), { code: 'ENOTDIR' });
  await assert.rejects(async () => removeXattr(path('marked'), 'user.none'), { code: 'EROFS' });
});

test('a slow answer holds up no other', { skip, timeout: 120_000 }, async (t) => {
  const { path } = await mountInvented(t);
  let isSlowDone = false;
  const slow = readFile(path('slow'), 'utf8').then((content) => {
    isSlowDone = true;
    return content;
  });
  assert.equal(await readFile(path('plain'), 'utf8'), 'plain content\n');
  assert.equal((await readdir(path('large'))).length, entriesOfLarge);
  assert.equal(isSlowDone, false);
  assert.equal(existsSync(path(endOfSlow)), false);
  assert.equal(await slow, 'slow content');
});

test('only so many requests are under way at once', { skip }, async (t) => {
  const daemon = await mountInvented(t, { inFlightMax: 2 });
  const names = (await readdir(daemon.path('large'))).slice(0, 50);
  const contents = await Promise.all(names.map((name) => readFile(daemon.path(`large/${name}`), 'utf8')));
  assert.deepEqual(
    contents,
    names.map((name) => name.split(' ')[1]),
  );
  const { readingMax } = await daemon.end();
  assert.ok(readingMax >= 1 && readingMax <= 2, `${readingMax} at once`);
});

test('what was seen once is not asked again', { skip }, async (t) => {
  const daemon = await mountInvented(t);
  for (let round = 0; round < 20; round++) {
    await readFile(daemon.path('big'));
    await lstat(daemon.path('link'));
    await readlink(daemon.path('link'));
    await assert.rejects(stat(daemon.path('none')));
  }
  const { requests } = await daemon.end();
  const { lookup = 0, readlink: links = 0, read = 0 } = requests;
  assert.ok(lookup <= 4 && links <= 1 && read <= 60, JSON.stringify(requests));
});

test('unmounting in the middle of a request ends it with an error', { skip }, async (t) => {
  const daemon = await mountInvented(t);
  const reading = readFile(daemon.path('slow')).then(
    () => 'read',
    (error: Error & { code: string }) => error.code,
  );
  // The file is open once its size has been asked for; then the read waits in the tree.
  await stat(daemon.path('slow'));
  await daemon.end();
  assert.ok(['EIO', 'ENOTCONN', 'ECONNABORTED', 'read', 'ENOENT'].includes(await reading), await reading);
  assert.equal(existsSync(daemon.path('plain')), false);
});

test('unmounting from outside ends the session', { skip: skip || needsRoot() }, async (t) => {
  const daemon = await mountInvented(t);
  await readFile(daemon.path('plain'));
  await loadAddon().unmountFuse(daemon.at, 'unused');
  assert.equal((await daemon.end()).requests['open'], 1);
});

test('a tree whose process was killed is mounted again at once', { skip }, async (t) => {
  const { data: at, path } = await createSandbox(t);
  const killed = await mountInvented(t, { at });
  await killed.kill('SIGKILL');
  const daemon = await mountInvented(t, { at });
  assert.equal(await readFile(daemon.path('plain'), 'utf8'), 'plain content\n');
  assert.deepEqual(await mountsWithin(path), [at]);
});

test('a mountpoint that is not empty, taken or no directory is refused', { skip }, async (t) => {
  const { data, path } = await createSandbox(t);
  await mkdir(join(path, 'full/entry'), { recursive: true });
  await writeFile(join(path, 'file'), '');
  await assert.rejects(mountInvented(t, { at: join(path, 'full') }), { code: 'E_BAD_INPUT' });
  await assert.rejects(mountInvented(t, { at: join(path, 'file') }), { code: 'E_BAD_INPUT' });
  await assert.rejects(mountInvented(t, { at: join(path, 'none') }), { code: 'E_NOT_FOUND' });
  await mountInvented(t, { at: data });
  await assert.rejects(mountInvented(t, { at: data }), { code: 'E_MOUNT' });
});
