/** How listings are put into the tables, page by page. */
import assert from 'node:assert/strict';
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '../../src/core/clock.ts';
import { createDigester } from '../../src/core/digest.ts';
import { DataDirectory } from '../../src/index/data-directory.ts';
import { namesIn } from '../../src/index/names.ts';
import type { NodeState } from '../../src/index/node-state.ts';
import { listLater } from '../../src/index/replay.ts';
import { Scanner } from '../../src/index/scanner.ts';
import { IndexState } from '../../src/index/state.ts';
import type { WorkerPool } from '../../src/index/worker-pool.ts';
import type { ListOutcome, ListRequest } from '../../src/index/worker-protocol.ts';
import { testDomain } from './index-fixture.ts';
import { MemoryTables } from './model/memory-tables.ts';

function stateOf({ tables }: MemoryTables, root: bigint): IndexState {
  const digester = createDigester(testDomain.digestKey);
  return new IndexState({ tables, digester, cut: testDomain.cut, clock: systemClock, root });
}

function node(inode: bigint, kind: 'file' | 'directory'): NodeState {
  const none = { mode: 0o755, uid: 0, gid: 0, size: 0, mtimeNs: 0n, ctimeNs: 0n, nlink: 1, rdev: 0n };
  return { inode, kind, ...none, target: undefined, xattrs: [], isForeign: false };
}

test('what a scan has listed and not put into the tables yet does not grow with the directories there are', async () => {
  const root = 1n;
  const directories = 40;
  const filesEach = 30;
  const state = stateOf(new MemoryTables(), root);
  const files = () => state.totals.files;
  let listed = 0;
  let heldMost = 0;
  /** Answers at once, as a thread does that is faster than the tables. */
  const pool = {
    async run({ directory }: ListRequest): Promise<ListOutcome> {
      const isRoot = directory === root;
      const count = isRoot ? directories : filesEach;
      const entries = Array.from({ length: count }, (_, number) => ({
        name: Buffer.from(`n${String(number).padStart(3, '0')}`),
        state: isRoot ? node(BigInt(number + 2), 'directory') : node(directory * 1000n + BigInt(number), 'file'),
      }));
      if (!isRoot) listed += count;
      heldMost = Math.max(heldMost, listed - files());
      return { kind: 'listed', self: node(directory, 'directory'), entries, last: entries.at(-1)?.name, more: false };
    },
  } as unknown as WorkerPool;
  const scanner = new Scanner(state, pool);
  listLater(state, root, true);
  while (scanner.hasWork) await scanner.step();
  assert.equal(files(), directories * filesEach);
  // A transaction's entries, and of eight directories asked for ahead and the one being taken.
  assert.ok(heldMost <= 256 + 9 * filesEach, `${heldMost} entries were held at once`);
});

test('a page of names that are all gone when they are looked at does not end or stop a listing', async (t) => {
  const path = mkdtempSync(join(tmpdir(), 'covault-index-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  const data = join(path, 'data');
  mkdirSync(data);
  const names = Array.from({ length: 12 }, (_, number) => `n${String(number).padStart(2, '0')}`);
  for (const name of names) writeFileSync(join(data, name), name);
  const fd = openSync(data, 'r');
  t.after(() => closeSync(fd));
  const root = statSync(data, { bigint: true }).ino;
  const state = stateOf(new MemoryTables(), root);
  const directory = new DataDirectory(fd);
  let asked = 0;
  const pool = {
    async run(request: ListRequest) {
      asked++;
      assert.ok(asked < 20, 'the same page is asked for again and again');
      // All names are known by now; those of the second page go before it is looked at.
      if (asked === 2) for (const name of names.slice(4, 8)) rmSync(join(data, name));
      return directory.list({ ...request, entriesMax: 4 });
    },
  } as unknown as WorkerPool;
  const scanner = new Scanner(state, pool);
  for (let round = 0; round < 2; round++) {
    listLater(state, root, false);
    while (scanner.hasWork) await scanner.step();
    const listed = [...namesIn(state, root)].map(({ name }) => Buffer.from(name).toString());
    assert.deepEqual(listed, readdirSync(data).sort());
  }
});
