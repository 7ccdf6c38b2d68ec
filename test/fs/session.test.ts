/** Mounting, unmounting and what happens when either goes wrong, on real mounts. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import {
  chmod,
  link,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  statfs,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { loadAddon } from '../../src/fs/addon.ts';
import { mountAt, readMountTable } from '../../src/fs/mount-table.ts';
import type { DataMode } from '../../src/fs/session.ts';
import { createSandbox, type MountDaemon, mountsWithin, type Sandbox } from '../support/mount-daemon.ts';
import { needsMount, needsRoot } from '../support/requirements.ts';

const execFileAsync = promisify(execFile);
const skip = needsMount();
const dataModes: DataMode[] = ['write-through', 'writeback'];

/** What stands in a data directory while nothing is mounted over it. */
async function plainContent(sandbox: Sandbox): Promise<string[]> {
  assert.deepEqual(await mountsWithin(sandbox.path), []);
  return (await readdir(sandbox.data)).sort();
}

/** Whether an error says that a mount's server is gone, or is just going. */
function isGone(error: Error & { code?: string }): boolean {
  return ['ENOTCONN', 'ECONNABORTED', 'ECANCELED'].includes(error.code ?? '');
}

/** The mount fails for this reason; nothing is left of the attempt. */
async function refuses(mounting: Promise<MountDaemon>, code: string, message: RegExp): Promise<void> {
  await assert.rejects(mounting, (error: Error & { code?: string }) => {
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  });
}

for (const dataMode of dataModes) {
  test(`a data directory is mounted in place and looks as before (${dataMode})`, { skip }, async (t) => {
    const sandbox = await createSandbox(t);
    await writeFile(join(sandbox.data, 'before'), 'content');
    const daemon = await sandbox.mount({ dataDirectory: sandbox.data, dataMode });
    assert.equal(daemon.mountpoint, sandbox.data);
    assert.equal(daemon.dataMode, dataMode);
    assert.deepEqual(await mountsWithin(sandbox.path), [sandbox.data]);
    assert.equal(await readFile(join(sandbox.data, 'before'), 'utf8'), 'content');
    await writeFile(join(sandbox.data, 'during'), 'new');
    await daemon.unmount();
    await daemon.closed;
    assert.deepEqual(await plainContent(sandbox), ['before', 'during']);
    assert.equal(await readFile(join(sandbox.data, 'during'), 'utf8'), 'new');
  });

  test(`a data directory is mounted elsewhere and both sides agree (${dataMode})`, { skip }, async (t) => {
    const sandbox = await createSandbox(t);
    const at = join(sandbox.path, 'at');
    await mkdir(at);
    const daemon = await sandbox.mount({ dataDirectory: sandbox.data, at, dataMode });
    assert.equal(daemon.mountpoint, at);
    await mkdir(join(at, 'd'));
    await writeFile(join(at, 'd/file'), 'x'.repeat(100_000));
    await link(join(at, 'd/file'), join(at, 'linked'));
    await symlink('d/file', join(at, 'symbolic'));
    await daemon.settle();
    assert.equal(await readFile(join(sandbox.data, 'linked'), 'utf8'), 'x'.repeat(100_000));
    const [through, direct] = await Promise.all(
      [at, sandbox.data].map((place) => stat(join(place, 'd/file'), { bigint: true })),
    );
    const { ino, mode, nlink, size, mtimeNs, uid, gid } = direct as NonNullable<typeof direct>;
    assert.deepEqual(
      { ino, mode, nlink, size, mtimeNs, uid, gid },
      {
        ino: through?.ino,
        mode: through?.mode,
        nlink: 2n,
        size: 100_000n,
        mtimeNs: through?.mtimeNs,
        uid: through?.uid,
        gid: through?.gid,
      },
    );
    await daemon.unmount();
    assert.deepEqual(await readdir(at), []);
  });
}

test('free space is that of the file system below', { skip }, async (t) => {
  const sandbox = await createSandbox(t);
  const below = await statfs(sandbox.data);
  await sandbox.mount({ dataDirectory: sandbox.data });
  const { blocks, bsize, files } = await statfs(sandbox.data);
  assert.deepEqual({ bytes: blocks * bsize, files }, { bytes: below.blocks * below.bsize, files: below.files });
});

test('hard links are one inode, and an unlinked open file lives on', { skip }, async (t) => {
  const sandbox = await createSandbox(t);
  await sandbox.mount({ dataDirectory: sandbox.data });
  const [a, b] = [join(sandbox.data, 'a'), join(sandbox.data, 'b')];
  await writeFile(a, 'shared');
  await link(a, b);
  const inodes = await Promise.all([a, b].map(async (path) => (await stat(path, { bigint: true })).ino));
  assert.equal(inodes[0], inodes[1]);
  await using file = await open(a, 'r+');
  await rm(a);
  await rm(b);
  await file.write(Buffer.from('S'), 0, 1, 0);
  await file.sync();
  const { nlink, size } = await file.stat();
  assert.deepEqual({ nlink, size }, { nlink: 0, size: 6 });
  assert.equal((await file.readFile()).toString(), 'Shared');
  assert.deepEqual(await readdir(sandbox.data), []);
});

test('names of any bytes and of the greatest length are kept', { skip }, async (t) => {
  const sandbox = await createSandbox(t);
  const daemon = await sandbox.mount({ dataDirectory: sandbox.data });
  const names = [
    Buffer.from([0xff, 0xfe, 0x01, 0x0a]),
    Buffer.from(' '),
    Buffer.from('...'),
    Buffer.from('\\\n\t"*?'),
    Buffer.from('ü'.normalize('NFD')),
    Buffer.from('ü'.normalize('NFC')),
    Buffer.alloc(255, 'n'),
  ];
  for (const name of names) await writeFile(Buffer.concat([Buffer.from(`${sandbox.data}/`), name]), name);
  const sorted = (list: Buffer[]) => list.map((name) => name.toString('hex')).sort();
  assert.deepEqual(sorted(await readdir(sandbox.data, { encoding: 'buffer' })), sorted(names));
  const created = (await daemon.settle()).flatMap((one) => (one.kind === 'create' ? [Buffer.from(one.name)] : []));
  assert.deepEqual(sorted(created), sorted(names));
  await assert.rejects(writeFile(join(sandbox.data, 'n'.repeat(256)), ''), { code: 'ENAMETOOLONG' });
});

test('unmounting is refused while a file is open and works afterwards', { skip }, async (t) => {
  const sandbox = await createSandbox(t);
  const daemon = await sandbox.mount({ dataDirectory: sandbox.data });
  const file = await open(join(sandbox.data, 'busy'), 'w+');
  try {
    await assert.rejects(daemon.unmount(), { code: 'E_MOUNT', message: /in use/, hint: /fuser/ });
    await file.write('still works');
  } finally {
    await file.close();
  }
  await daemon.unmount();
  assert.deepEqual(await plainContent(sandbox), ['busy']);
});

for (const dataMode of dataModes) {
  test(`a lazy unmount flushes, leaves at once and ends open files (${dataMode})`, { skip }, async (t) => {
    const sandbox = await createSandbox(t);
    const daemon = await sandbox.mount({ dataDirectory: sandbox.data, dataMode });
    const file = await open(join(sandbox.data, 'busy'), 'w+');
    await file.write('x'.repeat(50_000));
    await daemon.unmount({ lazy: true });
    assert.deepEqual(await plainContent(sandbox), ['busy']);
    assert.equal((await readFile(join(sandbox.data, 'busy'))).byteLength, 50_000);
    await assert.rejects(file.truncate(1), isGone);
    // The error of the flush at closing; without that request there is none.
    await file.close().catch(isGone);
  });
}

test('unmounting twice, and after the end, is no error', { skip }, async (t) => {
  const sandbox = await createSandbox(t);
  const daemon = await sandbox.mount({ dataDirectory: sandbox.data });
  await Promise.all([daemon.unmount(), daemon.unmount()]);
  await daemon.unmount({ lazy: true });
  await assert.rejects(daemon.settle(), { code: 'E_MOUNT' });
});

test('an unmount from outside ends the session with its last mutations', { skip: skip || needsRoot() }, async (t) => {
  const sandbox = await createSandbox(t);
  const daemon = await sandbox.mount({ dataDirectory: sandbox.data });
  await writeFile(join(sandbox.data, 'last'), 'x');
  await loadAddon().unmountFuse(sandbox.data, 'unused');
  await daemon.closed;
  // With a writeback cache the time of the last write follows.
  const kinds = (await daemon.mutations()).map(({ kind }) => kind).filter((kind) => kind !== 'attributes');
  assert.deepEqual(kinds, ['create', 'content']);
  await daemon.unmount();
  assert.deepEqual(await plainContent(sandbox), ['last']);
});

test('a data directory whose daemon was killed is mounted again at once', { skip }, async (t) => {
  const sandbox = await createSandbox(t);
  const at = join(sandbox.path, 'at');
  await mkdir(at);
  for (const place of [{}, { at }]) {
    const killed = await sandbox.mount({ dataDirectory: sandbox.data, ...place });
    await writeFile(join(killed.mountpoint, 'kept'), 'by write-through');
    await killed.kill('SIGKILL');
    await assert.rejects(stat(join(killed.mountpoint, 'none')), isGone);
    const daemon = await sandbox.mount({ dataDirectory: sandbox.data, ...place });
    assert.equal(await readFile(join(daemon.mountpoint, 'kept'), 'utf8'), 'by write-through');
    await daemon.unmount();
    assert.deepEqual(await plainContent(sandbox), ['kept']);
  }
});

test('a dead mount whose root the kernel still knows is taken away too', { skip }, async (t) => {
  const sandbox = await createSandbox(t);
  const killed = await sandbox.mount({ dataDirectory: sandbox.data });
  await readdir(sandbox.data);
  await stat(sandbox.data);
  await killed.kill('SIGKILL');
  const daemon = await sandbox.mount({ dataDirectory: sandbox.data });
  await writeFile(join(daemon.mountpoint, 'alive'), '');
});

test('a mount whose daemon is stopped is left alone and named', { skip, timeout: 60_000 }, async (t) => {
  const sandbox = await createSandbox(t);
  const daemon = await sandbox.mount({ dataDirectory: sandbox.data });
  process.kill(daemon.pid, 'SIGSTOP');
  await refuses(sandbox.mount({ dataDirectory: sandbox.data }), 'E_MOUNT', /does not answer/);
  process.kill(daemon.pid, 'SIGCONT');
  await writeFile(join(sandbox.data, 'goes on'), '');
});

for (const dataMode of dataModes) {
  test(`a process that ends without unmounting detaches and flushes (${dataMode})`, { skip }, async (t) => {
    const sandbox = await createSandbox(t);
    const daemon = await sandbox.mount({ dataDirectory: sandbox.data, dataMode });
    await writeFile(join(sandbox.data, 'file'), 'x'.repeat(300_000));
    await daemon.exitWithoutUnmount();
    assert.equal(await daemon.exited, 0);
    assert.deepEqual(await plainContent(sandbox), ['file']);
    assert.equal((await stat(join(sandbox.data, 'file'))).size, 300_000);
  });
}

test('places that cannot be right are refused', { skip }, async (t) => {
  const sandbox = await createSandbox(t);
  const path = (name: string) => join(sandbox.path, name);
  for (const name of ['data/inside', 'empty', 'full/entry']) await mkdir(path(name), { recursive: true });
  await writeFile(path('file'), '');
  const mount = (options: { dataDirectory?: string; at?: string; keepOut?: string[] }) =>
    sandbox.mount({ dataDirectory: sandbox.data, ...options });
  await refuses(mount({ dataDirectory: path('none') }), 'E_NOT_FOUND', /data directory .* does not exist/);
  await refuses(mount({ dataDirectory: path('file') }), 'E_BAD_INPUT', /is not a directory/);
  await refuses(mount({ at: path('none') }), 'E_NOT_FOUND', /mountpoint .* does not exist/);
  await refuses(mount({ at: path('file') }), 'E_BAD_INPUT', /is not a directory/);
  await refuses(mount({ at: path('full') }), 'E_BAD_INPUT', /is not empty/);
  await refuses(mount({ at: path('data/inside') }), 'E_BAD_INPUT', /inside the data directory/);
  await refuses(
    mount({ dataDirectory: path('data/inside'), at: sandbox.data }),
    'E_BAD_INPUT',
    /around the data directory/,
  );
  await refuses(mount({ keepOut: [path('data/state')] }), 'E_BAD_INPUT', /within each other/);
  await refuses(mount({ keepOut: [sandbox.path] }), 'E_BAD_INPUT', /within each other/);
  await refuses(
    mount({ at: path('empty'), keepOut: [path('empty/not/yet/there')] }),
    'E_BAD_INPUT',
    /within each other/,
  );
  assert.deepEqual(await mountsWithin(sandbox.path), []);
});

test('own directories are found behind symlinks', { skip }, async (t) => {
  const sandbox = await createSandbox(t);
  await symlink(sandbox.data, join(sandbox.path, 'state'));
  const keepOut = [join(sandbox.path, 'state/deep')];
  await refuses(sandbox.mount({ dataDirectory: sandbox.data, keepOut }), 'E_BAD_INPUT', /within each other/);
  const daemon = await sandbox.mount({ dataDirectory: join(sandbox.path, 'state') });
  assert.equal(daemon.mountpoint, sandbox.data);
});

test('a mount of Covault is neither mounted over nor used as a data directory', { skip }, async (t) => {
  const sandbox = await createSandbox(t);
  const [at, other] = [join(sandbox.path, 'at'), join(sandbox.path, 'other')];
  await mkdir(join(sandbox.data, 'inside'));
  await mkdir(at);
  await mkdir(other);
  await sandbox.mount({ dataDirectory: sandbox.data, at });
  await refuses(sandbox.mount({ dataDirectory: other, at }), 'E_MOUNT', /mounted by Covault already/);
  await refuses(sandbox.mount({ dataDirectory: join(at, 'inside'), at: other }), 'E_MOUNT', /on a mount of Covault/);
  await refuses(sandbox.mount({ dataDirectory: at, at: other }), 'E_MOUNT', /on a mount of Covault/);
});

test('mounting over a directory hides nothing from its daemon', { skip }, async (t) => {
  const sandbox = await createSandbox(t);
  const daemon = await sandbox.mount({ dataDirectory: sandbox.data });
  await writeFile(join(sandbox.data, 'a'), '1');
  await rename(join(sandbox.data, 'a'), join(sandbox.data, 'b'));
  const { requests, mutations, transport, errors } = await daemon.counters();
  assert.ok(requests['create'] === 1 && (requests['rename2'] ?? requests['rename']) === 1, JSON.stringify(requests));
  assert.ok(mutations.accepted >= 3);
  assert.ok(['device', 'io_uring'].includes(transport));
  assert.ok(errors >= 0);
});

test('the transport that is asked for is the one in use', { skip }, async (t) => {
  const sandbox = await createSandbox(t);
  const daemon = await sandbox.mount({ dataDirectory: sandbox.data, transport: 'device' });
  assert.equal(daemon.transport, 'device');
  await writeFile(join(sandbox.data, 'file'), 'x');
  assert.equal((await daemon.counters()).transport, 'device');
});

test('nothing is more permitted through the mount than below it', { skip: skip || needsRoot() }, async (t) => {
  const sandbox = await createSandbox(t);
  await sandbox.mount({ dataDirectory: sandbox.data });
  await writeFile(join(sandbox.data, 'secret'), 'x');
  await chmod(join(sandbox.data, 'secret'), 0o600);
  const asUser = ['--reuid=65534', '--regid=65534', '--clear-groups'];
  await assert.rejects(execFileAsync('setpriv', [...asUser, 'cat', join(sandbox.data, 'secret')]), /Permission denied/);
});

test('the mount allows no more than the one below it', { skip: skip || needsRoot() }, async (t) => {
  const sandbox = await createSandbox(t);
  await execFileAsync('mount', ['-t', 'tmpfs', '-o', 'nosuid,nodev,noexec', 'tmpfs', sandbox.data]);
  await mkdir(join(sandbox.data, 'd'));
  await sandbox.mount({ dataDirectory: join(sandbox.data, 'd') });
  const entry = mountAt(await readMountTable(), join(sandbox.data, 'd'));
  assert.equal(entry?.type, 'fuse.covault');
  assert.deepEqual(entry?.options.slice(0, 4), ['rw', 'nosuid', 'nodev', 'noexec']);
});

test('a read-only data directory gets a read-only mount', { skip: skip || needsRoot() }, async (t) => {
  const sandbox = await createSandbox(t);
  await writeFile(join(sandbox.data, 'file'), 'content');
  await execFileAsync('mount', ['--bind', sandbox.data, sandbox.data]);
  await execFileAsync('mount', ['-o', 'remount,bind,ro', sandbox.data]);
  await sandbox.mount({ dataDirectory: sandbox.data });
  assert.equal(await readFile(join(sandbox.data, 'file'), 'utf8'), 'content');
  await assert.rejects(writeFile(join(sandbox.data, 'new'), ''), { code: 'EROFS' });
});

test('a worker that is terminated takes its mount with it', { skip }, async (t) => {
  const sandbox = await createSandbox(t);
  const inWorker = `
    const { parentPort, workerData } = require('node:worker_threads');
    import(workerData.session).then(async ({ mountDataDirectory }) => {
      await mountDataDirectory({ dataDirectory: workerData.data, keepOut: [], onMutations() {} });
      parentPort.postMessage('mounted');
    });`;
  const inProcess = `
    const { Worker } = require('node:worker_threads');
    const worker = new Worker(process.argv[1], { eval: true, workerData: JSON.parse(process.argv[2]) });
    worker.once('message', (message) => console.log(message));
    process.stdin.resume().once('end', () => worker.terminate().then(() => console.log('terminated')));`;
  const session = new URL('../../src/fs/session.ts', import.meta.url).href;
  const workerData = JSON.stringify({ session, data: sandbox.data });
  const child = spawn(process.execPath, ['-e', inProcess, inWorker, workerData], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  assert.equal((await lines.next()).value, 'mounted');
  await writeFile(join(sandbox.data, 'file'), 'x');
  assert.deepEqual(await mountsWithin(sandbox.path), [sandbox.data]);
  child.stdin.end();
  assert.equal((await lines.next()).value, 'terminated');
  assert.deepEqual(await plainContent(sandbox), ['file']);
});
