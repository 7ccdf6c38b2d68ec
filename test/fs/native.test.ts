/** The addon's system calls, on an ordinary directory. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  constants,
  cpSync,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
  readlinkSync,
  readSync,
  statSync,
} from 'node:fs';
import { mkdir, mkdtemp, open, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import {
  addonProblem,
  cutBlocks,
  listXattrs,
  makeNode,
  nextDataRange,
  openNode,
  removeXattr,
  setTimes,
  syncFileSystem,
  writeXattr,
} from '../../src/fs/native.ts';
import { needsRoot } from '../support/requirements.ts';

const pathOnly = 0o10000000;

async function temporaryDirectory(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'covault-native-'));
  // The program goes deeper than Node's function, which is bound to PATH_MAX.
  t.after(() => execFileSync('rm', ['-rf', path]));
  return path;
}

function openDirectory(t: TestContext, path: string): number {
  const fd = openSync(path, pathOnly | constants.O_DIRECTORY);
  t.after(() => closeSync(fd));
  return fd;
}

/** Opens, gives the inode number, closes. */
function inodeOf(fd: number): bigint {
  const { ino } = fstatSync(fd, { bigint: true });
  closeSync(fd);
  return ino;
}

test('the addon is there', () => {
  assert.equal(addonProblem(), undefined);
});

test('a missing addon is named with the command that builds it', async (t) => {
  const project = fileURLToPath(new URL('../..', import.meta.url));
  const copy = await temporaryDirectory(t);
  cpSync(join(project, 'src'), join(copy, 'src'), { recursive: true });
  await symlink(join(project, 'node_modules'), join(copy, 'node_modules'));
  await writeFile(join(copy, 'package.json'), '{"type":"module"}');
  const { addonProblem: problemThere } = await import(join(copy, 'src/fs/native.ts'));
  const { code, message, hint } = problemThere();
  assert.equal(code, 'E_REQUIREMENT');
  assert.match(message, /has not been built/);
  assert.match(hint, /npm run build/);
  await mkdir(join(copy, 'native/build/Release'), { recursive: true });
  await writeFile(join(copy, 'native/build/Release/covault.node'), 'no addon');
  assert.match(problemThere().message, /cannot be loaded/);
});

test('extended attributes of any bytes come back as they were written', async (t) => {
  const path = join(await temporaryDirectory(t), 'file');
  await writeFile(path, '');
  const fd = openSync(path, pathOnly);
  t.after(() => closeSync(fd));
  const name = fc
    .uint8Array({ minLength: 1, maxLength: 100 })
    .filter((bytes) => !bytes.includes(0))
    .map((bytes) => Buffer.concat([Buffer.from('user.'), bytes]));
  const value = fc.uint8Array({ maxLength: 1000 });
  fc.assert(
    fc.property(
      name,
      value,
      fc.constantFrom<string | Uint8Array | number>(path, Buffer.from(path), fd),
      (key, bytes, node) => {
        writeXattr(node, key, bytes);
        const found = listXattrs(node).filter((xattr) => Buffer.compare(xattr.name, key) === 0);
        assert.deepEqual(
          found.map((xattr) => Buffer.from(xattr.value).toString('hex')),
          [Buffer.from(bytes).toString('hex')],
        );
        removeXattr(node, key);
        assert.deepEqual(listXattrs(node), []);
      },
    ),
  );
  assert.throws(() => removeXattr(path, 'user.none'), { code: 'ENODATA', syscall: 'removexattr', path });
});

test('extended attributes are those of a symlink, not of its target', { skip: needsRoot() }, async (t) => {
  const directory = await temporaryDirectory(t);
  const [target, link] = [join(directory, 'target'), join(directory, 'link')];
  await writeFile(target, '');
  await symlink('target', link);
  writeXattr(target, 'user.of', 'target');
  writeXattr(link, 'trusted.of', 'link');
  const shown = (node: string | number) =>
    listXattrs(node).map(({ name, value }) => `${Buffer.from(name)}=${Buffer.from(value)}`);
  assert.deepEqual(shown(link), ['trusted.of=link']);
  const fd = openSync(link, pathOnly | constants.O_NOFOLLOW);
  t.after(() => closeSync(fd));
  assert.deepEqual(shown(fd), ['trusted.of=link']);
  assert.deepEqual(shown(target), ['user.of=target']);
});

test('times are set to the nanosecond, before 1970 and on symlinks too', async (t) => {
  const directory = await temporaryDirectory(t);
  const [file, link] = [join(directory, 'file'), join(directory, 'link')];
  await writeFile(file, '');
  await symlink('file', link);
  const times = (path: string) => {
    const { atimeNs, mtimeNs } = lstatSync(path, { bigint: true });
    return [atimeNs, mtimeNs];
  };
  setTimes(link, 5n, 1_700_000_000_123_456_789n);
  setTimes(file, -1n, -1_500_000_001n);
  assert.deepEqual(times(link), [5n, 1_700_000_000_123_456_789n]);
  assert.deepEqual(times(file), [-1n, -1_500_000_001n]);
  setTimes(file, undefined, 7n);
  assert.deepEqual(times(file), [-1n, 7n]);
  setTimes(file, 8n, undefined);
  assert.deepEqual(times(file), [8n, 7n]);
  assert.throws(() => setTimes(file, 2n ** 63n, 0n), TypeError);
});

test('FIFOs, sockets and devices can be made', async (t) => {
  const directory = await temporaryDirectory(t);
  makeNode(join(directory, 'fifo'), constants.S_IFIFO | 0o600, 0n);
  makeNode(join(directory, 'socket'), constants.S_IFSOCK | 0o600, 0n);
  assert.ok(statSync(join(directory, 'fifo')).isFIFO());
  assert.ok(statSync(join(directory, 'socket')).isSocket());
  assert.throws(() => makeNode(join(directory, 'fifo'), constants.S_IFIFO | 0o600, 0n), { code: 'EEXIST' });
  if (needsRoot()) return;
  const { rdev } = statSync('/dev/null', { bigint: true });
  makeNode(join(directory, 'null'), constants.S_IFCHR | 0o600, rdev);
  assert.equal(statSync(join(directory, 'null'), { bigint: true }).rdev, rdev);
});

test('ranges of data are found between holes', async (t) => {
  const path = join(await temporaryDirectory(t), 'sparse');
  await using file = await open(path, 'w+');
  const { blksize } = await file.stat();
  await file.write(Buffer.alloc(blksize, 1), 0, blksize, 4 * blksize);
  await file.write(Buffer.alloc(10, 1), 0, 10, 20 * blksize);
  await file.truncate(100 * blksize);
  assert.deepEqual(nextDataRange(file.fd, 0), { start: 4 * blksize, end: 5 * blksize });
  assert.deepEqual(nextDataRange(file.fd, 4 * blksize + 7), { start: 4 * blksize + 7, end: 5 * blksize });
  assert.deepEqual(nextDataRange(file.fd, 5 * blksize), { start: 20 * blksize, end: 21 * blksize });
  assert.equal(nextDataRange(file.fd, 21 * blksize), undefined);
  assert.equal(nextDataRange(file.fd, 100 * blksize), undefined);
  assert.throws(() => nextDataRange(-1, 0), { code: 'EBADF' });
});

test('a thread takes idle I/O for itself alone', async () => {
  const source = `
    const { parentPort, workerData } = require('node:worker_threads');
    import(workerData).then(({ setIdleIo }) => parentPort.postMessage(setIdleIo()));`;
  const workerData = new URL('../../src/fs/native.ts', import.meta.url).href;
  const worker = new Worker(source, { eval: true, workerData });
  const [isIdle] = await once(worker, 'message');
  await worker.terminate();
  assert.equal(isIdle, true);
});

test('a file system is flushed without holding up JavaScript', async (t) => {
  const directory = await temporaryDirectory(t);
  await using file = await open(join(directory, 'file'), 'w');
  await syncFileSystem(file.fd);
  await assert.rejects(syncFileSystem(-1), { code: 'EBADF', syscall: 'syncfs' });
});

test('what is beneath a directory opens by its path', async (t) => {
  const directory = await temporaryDirectory(t);
  await mkdir(join(directory, 'a/b'), { recursive: true });
  await writeFile(join(directory, 'a/b/file'), 'content');
  const fd = openDirectory(t, directory);
  const file = openNode(fd, 'a/b/file', constants.O_RDONLY);
  const buffer = Buffer.alloc(10);
  assert.equal(buffer.toString('utf8', 0, readSync(file, buffer)), 'content');
  closeSync(file);
  const inode = (path: string) => lstatSync(join(directory, path), { bigint: true }).ino;
  assert.equal(inodeOf(openNode(fd, Buffer.from('a/b'), constants.O_RDONLY)), inode('a/b'));
  assert.equal(inodeOf(openNode(fd, '', constants.O_RDONLY)), inode('.'));
});

test('opening a file leaves its access time alone', async (t) => {
  const directory = await temporaryDirectory(t);
  await writeFile(join(directory, 'file'), 'content');
  setTimes(join(directory, 'file'), 1n, 2n);
  const fd = openNode(openDirectory(t, directory), 'file', constants.O_RDONLY);
  readSync(fd, Buffer.alloc(10));
  closeSync(fd);
  assert.equal(statSync(join(directory, 'file'), { bigint: true }).atimeNs, 1n);
});

test('no path leads out of the directory', async (t) => {
  const directory = await temporaryDirectory(t);
  await mkdir(join(directory, 'inside'));
  await writeFile(join(directory, 'secret'), '');
  await symlink('..', join(directory, 'inside/up'));
  await symlink('../secret', join(directory, 'inside/link'));
  await symlink('.', join(directory, 'inside/same'));
  const fd = openDirectory(t, join(directory, 'inside'));
  const opening = (path: string) => () => openNode(fd, path, constants.O_RDONLY);
  for (const path of ['../secret', '/etc/passwd', './up', 'x/../../secret', 'same/.', 'a//b', 'a/']) {
    assert.throws(opening(path), { code: 'EINVAL' }, path);
  }
  for (const path of ['up', 'up/secret', 'link', 'same/same']) assert.throws(opening(path), { code: 'ELOOP' }, path);
  assert.throws(opening('none'), { code: 'ENOENT' });
  assert.throws(() => openNode(fd, 'new', constants.O_CREAT | constants.O_WRONLY), { code: 'EINVAL' });
  assert.throws(opening('a\0b'), TypeError);
});

test('a symlink itself opens with O_PATH', async (t) => {
  const directory = await temporaryDirectory(t);
  await symlink('target', join(directory, 'link'));
  const link = openNode(openDirectory(t, directory), 'link', pathOnly);
  assert.ok(fstatSync(link).isSymbolicLink());
  closeSync(link);
});

test('another file system is not entered', { skip: needsRoot() }, async (t) => {
  const fd = openDirectory(t, '/');
  assert.throws(() => openNode(fd, 'proc/version', constants.O_RDONLY), { code: 'EXDEV' });
});

test('a FIFO without a writer does not hold up the opening', async (t) => {
  const directory = await temporaryDirectory(t);
  makeNode(join(directory, 'fifo'), constants.S_IFIFO | 0o600, 0n);
  closeSync(openNode(openDirectory(t, directory), 'fifo', constants.O_RDONLY));
});

test('paths far longer than PATH_MAX open', async (t) => {
  const directory = await temporaryDirectory(t);
  const name = 'd'.repeat(200);
  const depth = 60;
  let deepest = openDirectory(t, directory);
  for (let i = 0; i < depth; i++) {
    await mkdir(`/proc/self/fd/${deepest}/${name}`);
    deepest = openSync(`/proc/self/fd/${deepest}/${name}`, pathOnly | constants.O_DIRECTORY);
    const fd = deepest;
    t.after(() => closeSync(fd));
  }
  await writeFile(`/proc/self/fd/${deepest}/file`, 'x');
  const top = openDirectory(t, directory);
  const path = `${`${name}/`.repeat(depth)}file`;
  assert.ok(path.length > 2 * 4096);
  assert.equal(
    inodeOf(openNode(top, path, constants.O_RDONLY)),
    statSync(`/proc/self/fd/${deepest}/file`, { bigint: true }).ino,
  );
});

test('descriptors are closed on exec', async (t) => {
  const directory = await temporaryDirectory(t);
  const fd = openNode(openDirectory(t, directory), '', constants.O_RDONLY);
  t.after(() => closeSync(fd));
  const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '0';
  assert.ok(Number.parseInt(flags, 8) & 0o2000000);
  assert.equal(readlinkSync(`/proc/self/fd/${fd}`), directory);
});

test('workers use the addon beside the main thread and end without it noticing', async () => {
  const source = `
    const { parentPort, workerData } = require('node:worker_threads');
    import(workerData).then(({ cutBlocks, listXattrs }) => {
      const cut = { minBytes: 64, normalBytes: 256, maxBytes: 1024 };
      parentPort.postMessage([...cutBlocks(new Uint8Array(3000), cut, true), listXattrs('/').length >= 0]);
    });`;
  const workerData = new URL('../../src/fs/native.ts', import.meta.url).href;
  const workers = Array.from({ length: 3 }, () => new Worker(source, { eval: true, workerData }));
  const answers = await Promise.all(workers.map((worker) => once(worker, 'message')));
  for (const [answer] of answers) assert.deepEqual(answer, [1024, 1024, 952, true]);
  await Promise.all(workers.map((worker) => worker.terminate()));
  const cut = { minBytes: 64, normalBytes: 256, maxBytes: 1024 };
  assert.equal(cutBlocks(new Uint8Array(1024), cut, true).length, 1);
});
