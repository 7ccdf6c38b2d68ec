/** An open epoch shows the moment of its cut, whatever is done to the directory meanwhile. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { epochTree, presentTree } from '../support/epoch-view.ts';
import { createSandbox, type DaemonOptions, type MountDaemon, ordinaryUser } from '../support/mount-daemon.ts';
import { needsMount, needsMountAsUser, needsRoot } from '../support/requirements.ts';
import { bytes, changeAll, changes, overwrite, prepare, unit } from './epoch-changes.ts';

const run = promisify(execFile);
const skip = needsMount();

/** Fails with the title of the change below which the two differ. */
function assertSame(found: Map<string, string>, expected: Map<string, string>, when: string): void {
  const titleOf = (path: string) => changes[Number(path.split('/')[0])]?.title ?? 'the data directory';
  for (const [path, line] of expected) assert.equal(found.get(path), line, `${when}: ${titleOf(path)}: ${path}`);
  for (const path of found.keys()) assert.ok(expected.has(path), `${when}: ${titleOf(path)}: ${path} was not there`);
}

async function mounted(t: TestContext, options: Partial<DaemonOptions> = {}, of: { data?: string } = {}) {
  const sandbox = await createSandbox(t, options.user);
  const mountpoint = join(sandbox.path, 'mountpoint');
  await fs.mkdir(mountpoint);
  if (options.user) await fs.chown(mountpoint, options.user.uid, options.user.gid);
  const data = of.data ?? sandbox.data;
  const daemon = await sandbox.mount({ dataDirectory: data, at: mountpoint, ...options });
  const root = (await fs.stat(data, { bigint: true })).ino;
  return { sandbox, data, mountpoint, daemon, root };
}

/** Those who may use the mount of an ordinary user. */
async function runAsUser(what: 'prepare' | 'change', mountpoint: string): Promise<void> {
  const script = fileURLToPath(new URL('./epoch-changes.ts', import.meta.url));
  const { uid, gid } = ordinaryUser;
  const user = [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'];
  await run('setpriv', [...user, process.execPath, '--no-warnings', script, what, mountpoint]);
}

async function cutsOf(daemon: MountDaemon) {
  return (await daemon.counters()).cuts;
}

for (const dataMode of ['write-through', 'writeback'] as const) {
  test(`an epoch shows what was there at its cut: ${dataMode}`, { skip, timeout: 60_000 }, async (t) => {
    const { daemon, root, mountpoint, data } = await mounted(t, { dataMode });
    await prepare(mountpoint);
    const epoch = await daemon.openEpoch();
    const before = await presentTree(data);
    await changeAll(mountpoint);
    await daemon.settle();
    assertSame(await epochTree(daemon, epoch.id, root), before, 'after the changes');
    await daemon.closeEpoch(epoch.id);
    const { open, spaceBytes, memoryBytes, keptDescriptors } = await cutsOf(daemon);
    assert.deepEqual(
      { open, spaceBytes, memoryBytes, keptDescriptors },
      { open: [], spaceBytes: 0, memoryBytes: 0, keptDescriptors: 0 },
    );
    await assert.rejects(epochTree(daemon, epoch.id, root), { code: 'ECANCELED' });
  });
}

test('several epochs each show their own moment', { skip, timeout: 60_000 }, async (t) => {
  const { daemon, root, mountpoint, data } = await mounted(t);
  await prepare(mountpoint);
  const cuts: { id: number; tree: Map<string, string> }[] = [];
  const cut = async () => {
    const { id } = await daemon.openEpoch();
    cuts.push({ id, tree: await presentTree(data) });
  };
  await cut();
  for (const [number, { after }] of changes.entries()) {
    await after(join(mountpoint, String(number)));
    if (number % 4 === 0) await cut();
  }
  for (const { id, tree } of cuts) assertSame(await epochTree(daemon, id, root), tree, `epoch ${id}`);
  // A closed one takes nothing from those before it, nor from those after it.
  for (const { id } of cuts.splice(1, 1)) await daemon.closeEpoch(id);
  for (const { id, tree } of cuts) assertSame(await epochTree(daemon, id, root), tree, `epoch ${id}, one closed`);
});

test('what is made after the cut costs nothing', { skip, timeout: 60_000 }, async (t) => {
  const { daemon, root, mountpoint, data } = await mounted(t);
  const epoch = await daemon.openEpoch();
  const before = await presentTree(data);
  for (let count = 0; count < 20; count++) {
    await fs.mkdir(join(mountpoint, `d${count}`));
    await fs.writeFile(join(mountpoint, `d${count}/a`), bytes(unit, count));
    await fs.writeFile(join(mountpoint, `d${count}/a`), bytes(2 * unit, count));
    await fs.rename(join(mountpoint, `d${count}/a`), join(mountpoint, `d${count}/b`));
    if (count % 2 === 0) await fs.rm(join(mountpoint, `d${count}`), { recursive: true });
  }
  const { spaceBytes, keptDescriptors } = await cutsOf(daemon);
  assert.deepEqual({ spaceBytes, keptDescriptors }, { spaceBytes: 0, keptDescriptors: 0 });
  assertSame(await epochTree(daemon, epoch.id, root), before, 'after the changes');
});

test('mutations before the cut come before it', { skip, timeout: 60_000 }, async (t) => {
  const { daemon, mountpoint } = await mounted(t);
  await fs.writeFile(join(mountpoint, 'a'), 'one');
  const epoch = await daemon.openEpoch();
  await fs.writeFile(join(mountpoint, 'b'), 'two');
  const namesOf = (batch: Awaited<ReturnType<MountDaemon['settle']>>) =>
    batch.flatMap((each) => (each.kind === 'create' ? [Buffer.from(each.name).toString()] : []));
  assert.deepEqual(namesOf(epoch.before), ['a']);
  assert.deepEqual(namesOf(await daemon.settle()), ['b']);
});

test('beyond its space an epoch fails and writes go on', { skip, timeout: 60_000 }, async (t) => {
  const { daemon, root, mountpoint, data } = await mounted(t, { cutSpaceBytes: 4 * unit });
  await fs.writeFile(join(mountpoint, 'a'), bytes(20 * unit, 1));
  const epoch = await daemon.openEpoch();
  const before = await presentTree(data);
  await overwrite(join(mountpoint, 'a'), 0, bytes(3 * unit, 2));
  assertSame(await epochTree(daemon, epoch.id, root), before, 'within its space');
  assert.equal(await daemon.epochFailure(epoch.id), '');
  await overwrite(join(mountpoint, 'a'), 0, bytes(19 * unit, 3));
  assert.match(await daemon.epochFailure(epoch.id), /would take more than/);
  await assert.rejects(epochTree(daemon, epoch.id, root), { code: 'ECANCELED' });
  const { spaceBytes, failed, open } = await cutsOf(daemon);
  assert.deepEqual({ spaceBytes, failed, open }, { spaceBytes: 0, failed: 1, open: [] });
  const expected = Buffer.concat([bytes(19 * unit, 3), bytes(20 * unit, 1).subarray(19 * unit)]);
  assert.deepEqual(await fs.readFile(join(mountpoint, 'a')), expected);
  // The next is not concerned.
  const next = await daemon.openEpoch();
  const present = await presentTree(data);
  await fs.appendFile(join(mountpoint, 'a'), 'x');
  assertSame(await epochTree(daemon, next.id, root), present, 'the next epoch');
});

test('more files go than descriptors may be kept', { skip, timeout: 60_000 }, async (t) => {
  const { daemon, root, mountpoint, data } = await mounted(t, { openFilesMax: 256 });
  for (let count = 0; count < 80; count++)
    await fs.writeFile(join(mountpoint, `f${count}`), bytes(unit + count, count));
  const epoch = await daemon.openEpoch();
  const before = await presentTree(data);
  for (let count = 0; count < 80; count++) await fs.rm(join(mountpoint, `f${count}`));
  const { keptDescriptors, spaceBytes } = await cutsOf(daemon);
  assert.equal(keptDescriptors, 32);
  assert.ok(spaceBytes >= 48 * unit, `${spaceBytes} bytes kept`);
  assertSame(await epochTree(daemon, epoch.id, root), before, 'after the removals');
});

test('a killed daemon with an open epoch leaves the files and nothing else', { skip, timeout: 60_000 }, async (t) => {
  const { daemon, mountpoint, data, sandbox } = await mounted(t);
  await prepare(mountpoint);
  await daemon.openEpoch();
  await changeAll(mountpoint);
  await daemon.settle();
  const present = await presentTree(data);
  await daemon.kill('SIGKILL');
  assertSame(await presentTree(data), present, 'after the kill');
  const again = await sandbox.mount({ dataDirectory: data, at: mountpoint });
  const root = (await fs.stat(data, { bigint: true })).ino;
  const epoch = await again.openEpoch();
  assertSame(await epochTree(again, epoch.id, root), present, 'after mounting again');
});

test('an ordinary user has epochs, too', { skip: needsMountAsUser(), timeout: 60_000 }, async (t) => {
  const { daemon, root, mountpoint, data } = await mounted(t, { user: ordinaryUser });
  await runAsUser('prepare', mountpoint);
  const epoch = await daemon.openEpoch();
  const before = await presentTree(data);
  await runAsUser('change', mountpoint);
  await daemon.settle();
  assertSame(await epochTree(daemon, epoch.id, root), before, 'after the changes');
});

for (const { make, name, shares } of [
  { name: 'ext4', make: ['mkfs.ext4', '-q', '-F'], shares: false },
  { name: 'xfs', make: ['mkfs.xfs', '-q', '-f', '-m', 'reflink=1'], shares: true },
  { name: 'btrfs', make: ['mkfs.btrfs', '-q', '-f'], shares: true },
]) {
  test(`an epoch on ${name}`, { skip: needsRoot() || skip, timeout: 120_000 }, async (t) => {
    const place = await loopFileSystem(t, make);
    const { daemon, root, mountpoint, data } = await mounted(t, {}, { data: place });
    await prepare(mountpoint);
    const epoch = await daemon.openEpoch();
    const before = await presentTree(data);
    await changeAll(mountpoint);
    await daemon.settle();
    assertSame(await epochTree(daemon, epoch.id, root), before, 'after the changes');
    assert.equal((await cutsOf(daemon)).sharesBlocks, shares);
    await daemon.leave();
  });
}

test('a full file system costs the epoch, not the writer', {
  skip: needsRoot() || skip,
  timeout: 60_000,
}, async (t) => {
  const place = await temporaryPlace(t);
  await run('mount', ['-t', 'tmpfs', '-o', 'size=12m', 'covault-test', place]);
  const { daemon, mountpoint } = await mounted(t, {}, { data: place });
  const megabyte = 1024 * 1024;
  await fs.writeFile(join(mountpoint, 'a'), bytes(5 * megabyte, 1));
  const epoch = await daemon.openEpoch();
  await overwrite(join(mountpoint, 'a'), 0, bytes(3 * megabyte, 2));
  assert.equal(await daemon.epochFailure(epoch.id), '');
  // What the epoch keeps would be in the way of this.
  await fs.writeFile(join(mountpoint, 'b'), bytes(6 * megabyte, 3));
  assert.match(await daemon.epochFailure(epoch.id), /full/);
  assert.deepEqual(await fs.readFile(join(mountpoint, 'b')), bytes(6 * megabyte, 3));
  await daemon.leave();
});

async function temporaryPlace(t: TestContext): Promise<string> {
  const place = await fs.mkdtemp(join(tmpdir(), 'covault-epoch-'));
  t.after(async () => {
    await run('umount', ['--lazy', place]).catch(() => undefined);
    await fs.rm(place, { recursive: true, force: true });
    await fs.rm(`${place}.image`, { force: true });
  });
  return place;
}

async function loopFileSystem(t: TestContext, [program = '', ...args]: string[]): Promise<string> {
  const place = await temporaryPlace(t);
  await fs.writeFile(`${place}.image`, '');
  await fs.truncate(`${place}.image`, 512 * 1024 * 1024);
  await run(program, [...args, `${place}.image`]);
  await run('mount', ['-o', 'loop', `${place}.image`, place]);
  return place;
}
