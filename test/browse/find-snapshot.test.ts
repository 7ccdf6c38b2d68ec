/** Names of snapshots, and finding snapshots and paths by what a person types. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  entryAt,
  listDirectory,
  listNamedSnapshots,
  resolveSnapshot,
  splitPath,
} from '../../src/browse/find-snapshot.ts';
import { SnapshotNames, timeName } from '../../src/browse/snapshot-names.ts';
import type { SnapshotRecord } from '../../src/core/snapshot.ts';
import { MemoryStore } from './memory-store.ts';
import { directory, file, symlink } from './tree-model.ts';

const noon = 1_795_348_800_000_000_000n;
const ms = 1_000_000n;

function record(client: string, timeNs: bigint, id: string): SnapshotRecord {
  return new MemoryStore().addRecord(
    client,
    timeNs,
    { ...directory(), kind: 'directory', name: new Uint8Array(0), tree: new Uint8Array(32) },
    id.padEnd(32, '0'),
  );
}

describe('names of snapshots', () => {
  it('are the moment of the cut in UTC', () => {
    assert.equal(timeName(noon), '2026-11-22T12-00-00Z');
    assert.equal(timeName(noon + 999_999_999n), '2026-11-22T12-00-00Z');
    assert.equal(timeName(0n), '1970-01-01T00-00-00Z');
    assert.equal(timeName(-1n), '1969-12-31T23-59-59Z');
    assert.match(timeName(2n ** 63n - 1n), /^2262-04-11T/);
    assert.match(timeName(-(2n ** 63n)), /^1677-09-21T/);
  });

  it('tell snapshots of one second apart', () => {
    const names = new SnapshotNames();
    const records = [0n, 250n, 250n, 250n, 900n].map((after, which) => record('laptop', noon + after * ms, `${which}`));
    names.add(records);
    assert.deepEqual(
      records.map((one) => names.nameOf(one)),
      [
        '2026-11-22T12-00-00Z',
        '2026-11-22T12-00-00.250Z',
        '2026-11-22T12-00-00.250Z-2',
        '2026-11-22T12-00-00.250Z-3',
        '2026-11-22T12-00-00.900Z',
      ],
    );
    const other = record('desktop', noon, '9');
    names.add([other]);
    assert.equal(names.nameOf(other), '2026-11-22T12-00-00Z', 'clients do not share names');
  });

  it('never change and are never given twice, in whatever order snapshots appear and go', () => {
    const step = fc.record({ afterMs: fc.integer({ min: 0, max: 2500 }), isForgotten: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const names = new SnapshotNames();
        const given = new Map<string, string>();
        let listed: SnapshotRecord[] = [];
        steps.forEach(({ afterMs, isForgotten }, which) => {
          if (isForgotten) listed = listed.slice(1);
          listed.push(record('laptop', noon + BigInt(afterMs) * ms, which.toString(16).padStart(2, '0')));
          names.add(listed);
          for (const one of listed) {
            assert.equal(given.get(one.id) ?? names.nameOf(one), names.nameOf(one));
            given.set(one.id, names.nameOf(one));
          }
        });
        assert.equal(new Set(given.values()).size, given.size);
      }),
    );
  });
});

describe('choosing a snapshot', () => {
  const store = new MemoryStore();
  const first = store.add('laptop', noon, directory(), 'abcd'.padEnd(32, '1'));
  const newest = store.add('laptop', noon + 86_400_000n * ms, directory(), 'abce'.padEnd(32, '2'));
  const other = store.add('desktop', noon, directory(), 'ffff'.padEnd(32, '3'));
  const idOf = async (snapshot: string, client?: string) =>
    (await resolveSnapshot(store, { snapshot, ...(client === undefined ? {} : { client }) })).record.id;

  it('takes latest, times, ids and their beginnings', async () => {
    assert.equal(await idOf('latest', 'laptop'), newest.id);
    assert.equal(await idOf('laptop/latest'), newest.id);
    assert.equal(await idOf('2026-11-22T12-00-00Z', 'laptop'), first.id);
    assert.equal(await idOf('2026-11-23'), newest.id);
    assert.equal(await idOf('desktop/2026'), other.id);
    assert.equal(await idOf('abcd'), first.id);
    assert.equal(await idOf(newest.id), newest.id);
  });

  it('names the candidates when several are meant', async () => {
    for (const snapshot of ['latest', 'abc', '2026-11-22T12-00-00Z']) {
      await assert.rejects(idOf(snapshot), (error: Error & { code: string }) => {
        assert.equal(error.code, 'E_BAD_INPUT');
        assert.match(error.message, /laptop\/2026-11-2/);
        return true;
      });
    }
  });

  it('says so when there is none', async () => {
    for (const [snapshot, client] of [['dead'], ['latest', 'server'], ['']] as [string, string?][]) {
      await assert.rejects(idOf(snapshot, client), { code: 'E_NOT_FOUND' });
    }
    await assert.rejects(resolveSnapshot(new MemoryStore(), { snapshot: 'latest' }), { code: 'E_NOT_FOUND' });
    await assert.rejects(idOf('laptop/latest', 'desktop'), { code: 'E_BAD_INPUT' });
  });

  it('lists by client, oldest first', async () => {
    const listed = await listNamedSnapshots(store);
    assert.deepEqual(
      listed.map(({ record: { client }, name }) => `${client}/${name}`),
      ['desktop/2026-11-22T12-00-00Z', 'laptop/2026-11-22T12-00-00Z', 'laptop/2026-11-23T12-00-00Z'],
    );
  });
});

describe('paths within a snapshot', () => {
  const store = new MemoryStore();
  const record_ = store.add(
    'laptop',
    noon,
    directory({ a: directory({ b: directory({ f: file('x') }), '\xff': file('odd') }), l: symlink('a') }),
  );
  const names = async (path: string) =>
    (await listDirectory(store, record_, Buffer.from(path, 'latin1'))).map(({ name }) =>
      Buffer.from(name).toString('latin1'),
    );

  it('lead to directories and single entries', async () => {
    assert.deepEqual(await names(''), ['a', 'l']);
    assert.deepEqual(await names('/'), ['a', 'l']);
    assert.deepEqual(await names('/a//./b/'), ['f']);
    assert.deepEqual(await names('a/\xff'), ['\xff']);
    assert.equal((await entryAt(store, record_, Buffer.from('a/b/f'))).kind, 'file');
  });

  it('do not lead through symlinks, files or nowhere', async () => {
    for (const path of ['l/b', 'a/b/f/x', 'a/c', 'b']) await assert.rejects(names(path), { code: 'E_NOT_FOUND' });
  });

  it('are refused if they lead upwards', () => {
    for (const path of ['..', 'a/../b', '/..', 'a\0b']) {
      assert.throws(() => splitPath(Buffer.from(path)), { code: 'E_BAD_INPUT' });
    }
    assert.deepEqual(
      splitPath(Buffer.from('a/...//.b/')).map((name) => Buffer.from(name).toString()),
      ['a', '...', '.b'],
    );
  });
});
