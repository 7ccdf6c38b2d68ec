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
import { listLater } from '../../src/index/replay.ts';
import { Scanner } from '../../src/index/scanner.ts';
import { IndexState } from '../../src/index/state.ts';
import type { WorkerPool } from '../../src/index/worker-pool.ts';
import type { ListRequest } from '../../src/index/worker-protocol.ts';
import { testDomain } from './index-fixture.ts';
import { MemoryTables } from './model/memory-tables.ts';

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
  const state = new IndexState({
    tables: new MemoryTables().tables,
    digester: createDigester(testDomain.digestKey),
    cut: testDomain.cut,
    clock: systemClock,
    root,
  });
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
