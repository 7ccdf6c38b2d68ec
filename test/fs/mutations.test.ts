/** Each operation on a mount gives the mutations that say what it changed, in the order of the operations. */
import assert from 'node:assert/strict';
import {
  chmod,
  chown,
  link,
  lstat,
  mkdir,
  open,
  rename,
  rm,
  rmdir,
  symlink,
  truncate,
  unlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Mutation } from '../../src/core/mutation.ts';
import { makeNode, removeXattr, writeXattr } from '../../src/fs/native.ts';
import type { DataMode } from '../../src/fs/session.ts';
import { createSandbox, type DaemonOptions, type MountDaemon } from '../support/mount-daemon.ts';
import { describeMutation } from '../support/mount-protocol.ts';
import { needsMount } from '../support/requirements.ts';
import { allocateModes, renameFlags, startSyscalls } from '../support/syscalls.ts';

const skip = needsMount();
const dataModes: DataMode[] = ['write-through', 'writeback'];

/** A mount and what is said of it. */
class Watched {
  readonly path: string;
  readonly #daemon: MountDaemon;
  readonly #names = new Map<bigint, string>();

  private constructor(path: string, daemon: MountDaemon) {
    this.path = path;
    this.#daemon = daemon;
  }

  static async mount(t: TestContext, options: Partial<DaemonOptions> = {}): Promise<Watched> {
    const sandbox = await createSandbox(t);
    const daemon = await sandbox.mount({ dataDirectory: sandbox.data, ...options });
    const watched = new Watched(sandbox.data, daemon);
    await watched.know('.', 'root');
    return watched;
  }

  at(name: string): string {
    return join(this.path, name);
  }

  /** Calls the inode that stands at `path` by a name from now on. */
  async know(path: string, name = path): Promise<void> {
    this.#names.set((await lstat(this.at(path), { bigint: true })).ino, name);
  }

  /** All since the last call, one line each. */
  async seen(): Promise<string[]> {
    return (await this.mutations()).map((one) => describeMutation(one, (inode) => this.#names.get(inode) ?? '?'));
  }

  mutations(): Promise<Mutation[]> {
    return this.#daemon.settle();
  }

  counters() {
    return this.#daemon.counters();
  }
}

/**
 * Without records of attributes. A kernel that gathers writes keeps the times too and sends them when it likes, after
 * any operation that changes them.
 */
function withoutAttributes(lines: string[]): string[] {
  return lines.filter((line) => !line.startsWith('attributes '));
}

for (const dataMode of dataModes) {
  test(`names: create, link, rename, unlink (${dataMode})`, { skip }, async (t) => {
    const watched = await Watched.mount(t, { dataMode });
    const at = (name: string) => watched.at(name);
    await writeFile(at('a'), '');
    await mkdir(at('d'));
    await symlink('a', at('s'));
    makeNode(at('f'), 0o010600, 0n);
    for (const name of ['a', 'd', 's', 'f']) await watched.know(name);
    const seen = async () => withoutAttributes(await watched.seen());
    assert.deepEqual(await seen(), ['create a root/a', 'create d root/d', 'create s root/s', 'create f root/f']);
    await link(at('a'), at('d/b'));
    await rename(at('a'), at('d/c'));
    await rename(at('d/c'), at('s'));
    await unlink(at('s'));
    await unlink(at('f'));
    await unlink(at('d/b'));
    await rmdir(at('d'));
    assert.deepEqual(await seen(), [
      'link a d/b',
      'rename a root/a -> d/c',
      'rename a d/c -> root/s',
      'unlink a root/s',
      'unlink f root/f',
      'unlink a d/b',
      'unlink d root/d',
    ]);
  });

  test(`renames of every kind (${dataMode})`, { skip }, async (t) => {
    const watched = await Watched.mount(t, { dataMode });
    const syscalls = startSyscalls(t);
    await mkdir(watched.at('d'));
    await writeFile(watched.at('a'), '');
    await writeFile(watched.at('b'), '');
    for (const name of ['a', 'b', 'd']) await watched.know(name);
    await watched.seen();
    await assert.rejects(syscalls.rename(watched.at('a'), watched.at('b'), renameFlags.noReplace), { code: 'EEXIST' });
    assert.deepEqual(await watched.seen(), [], 'what failed is no mutation');
    await syscalls.rename(watched.at('a'), watched.at('b'), renameFlags.exchange);
    await syscalls.rename(watched.at('a'), watched.at('d/a'), renameFlags.noReplace);
    assert.deepEqual(withoutAttributes(await watched.seen()), ['rename a root/a <-> root/b', 'rename b root/a -> d/a']);
  });

  test(`content: write, append, truncate, holes, copies (${dataMode})`, { skip }, async (t) => {
    const watched = await Watched.mount(t, { dataMode });
    const syscalls = startSyscalls(t);
    const file = watched.at('file');
    const settled = async () => withoutAttributes(await watched.seen());
    await writeFile(file, 'x'.repeat(10_000));
    await watched.know('file');
    const [created, ...written] = await settled();
    assert.equal(created, 'create file root/file');
    assert.deepEqual(rangeOf(written), [0, 10_000]);
    await syscalls.append(file, 'yyy');
    const [start, end] = rangeOf(await settled());
    // A page cache that gathers writes may send a whole page where a few bytes changed.
    assert.ok(dataMode === 'writeback' ? start <= 10_000 : start === 10_000, `${start}`);
    assert.equal(end, 10_003);
    await truncate(file, 5000);
    assert.ok((await settled()).includes('truncate file 5000'));
    await syscalls.allocate(file, allocateModes.punchHole, 100, 200);
    await syscalls.allocate(file, allocateModes.zeroRange, 1000, 50);
    assert.deepEqual(await settled(), ['content file 100+200', 'content file 1000+50']);
    await writeFile(watched.at('copy'), 'z'.repeat(3000));
    await watched.know('copy');
    await watched.seen();
    assert.equal(await syscalls.copyRange(watched.at('copy'), file, 2000, 500, 4500), 2000);
    const copied = (await settled()).filter((line) => line.startsWith('content file'));
    assert.deepEqual(rangeOf(copied), [4500, 6500]);
    await syscalls.mapAndStore(file, 6000, 'mapped');
    const [from, to] = rangeOf((await settled()).filter((line) => line.startsWith('content file')));
    assert.ok(from <= 6000 && to >= 6006, 'a store through a mapping is seen');
  });

  test(`attributes and extended attributes (${dataMode})`, { skip }, async (t) => {
    const watched = await Watched.mount(t, { dataMode });
    const file = watched.at('file');
    await writeFile(file, '');
    await watched.know('file');
    await watched.seen();
    const { uid, gid } = await lstat(file);
    const steps: [string, () => unknown][] = [
      ['attributes', () => chmod(file, 0o600)],
      ['attributes', () => chown(file, uid, gid)],
      ['attributes', () => utimes(file, 1, 2)],
      ['xattrs', () => writeXattr(file, 'user.a', 'value')],
      ['xattrs', () => removeXattr(file, 'user.a')],
    ];
    for (const [kind, act] of steps) {
      await act();
      const seen = await watched.seen();
      assert.ok(seen.includes(`${kind} file`), `${act}: ${seen}`);
      const others = withoutAttributes(seen).filter((line) => line !== `${kind} file`);
      assert.deepEqual(others, [], act.toString());
    }
  });

  test(`a file without a name gets one (${dataMode})`, { skip }, async (t) => {
    const watched = await Watched.mount(t, { dataMode });
    const syscalls = startSyscalls(t);
    await syscalls.makeUnnamed(watched.path, 'hidden', watched.at('shown'));
    await watched.know('shown');
    const seen = withoutAttributes(await watched.seen());
    assert.deepEqual(rangeOf(seen.filter((line) => line.startsWith('content'))), [0, 6]);
    assert.ok(seen.includes('link shown root/shown') || seen.includes('create shown root/shown'), seen.join());
  });
}

test('reading is no mutation', { skip }, async (t) => {
  const watched = await Watched.mount(t);
  await writeFile(watched.at('file'), 'content');
  await watched.seen();
  await using file = await open(watched.at('file'));
  await file.readFile();
  await lstat(watched.at('file'));
  await assert.rejects(lstat(watched.at('none')));
  assert.deepEqual(await watched.seen(), []);
});

test('settling gives everything done before it, however much that is', { skip }, async (t) => {
  const watched = await Watched.mount(t);
  for (let round = 0; round < 5; round++) {
    const names = Array.from({ length: 200 }, (_, i) => `${round}-${i}`);
    await Promise.all(names.map((name) => writeFile(watched.at(name), name)));
    const created = (await watched.mutations()).flatMap((one) =>
      one.kind === 'create' ? [Buffer.from(one.name).toString()] : [],
    );
    assert.deepEqual(created.sort(), names.sort());
  }
});

test('a log that overflows tells where to look instead of what happened', { skip }, async (t) => {
  const mutationLog = { chunkBytes: 512, chunksMax: 2, coarseRecordsMax: 1000 };
  // A writeback cache would tell of the files' times besides.
  const watched = await Watched.mount(t, { mutationLog, dataMode: 'write-through' });
  await mkdir(watched.at('d'));
  await watched.know('d');
  await watched.seen();
  const names = Array.from({ length: 300 }, (_, i) => `d/${i}`);
  await Promise.all(names.map((name) => writeFile(watched.at(name), name)));
  const mutations = await watched.mutations();
  const { mutations: statistics } = await watched.counters();
  assert.ok(statistics.overflows > 0 && statistics.coarsened > 0, JSON.stringify(statistics));
  const directory = (await lstat(watched.at('d'), { bigint: true })).ino;
  // Which of them did not fit depends on when JavaScript came to take some.
  const created = new Set(
    mutations.flatMap((one) => (one.kind === 'create' ? [Buffer.from(one.name).toString()] : [])),
  );
  const isListed = mutations.some((one) => one.kind === 'subtree' && one.inode === directory);
  assert.ok(isListed || names.every((name) => created.has(name.slice('d/'.length))), 'no name is forgotten');
  const named = new Set(mutations.map((one) => one.inode));
  for (const name of names) {
    assert.ok(named.has((await lstat(watched.at(name), { bigint: true })).ino), `${name} is not forgotten`);
  }
  await rm(watched.at('d/0'));
  assert.deepEqual((await watched.seen()).length, 1, 'afterwards mutations are exact again');
});

/** First and last byte (exclusive) of all `content` lines together. */
function rangeOf(lines: string[]): [number, number] {
  const ranges = lines.map((line) => {
    const match = /^content \S+ (\d+)\+(\d+)$/.exec(line);
    assert.ok(match, `unexpected: ${line}`);
    const start = Number(match[1]);
    return [start, start + Number(match[2])] as const;
  });
  assert.ok(ranges.length > 0, 'nothing was written');
  return [Math.min(...ranges.map(([start]) => start)), Math.max(...ranges.map(([, end]) => end))];
}
