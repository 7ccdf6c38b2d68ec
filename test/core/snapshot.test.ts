/** The record of a snapshot: what another release wrote is read, and every reason for using the source comes back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encode } from '../../src/core/codec.ts';
import { decodeSnapshotRecord, encodeSnapshotRecord, type SnapshotRecord } from '../../src/core/snapshot.ts';
import { packEntry } from '../../src/core/tree.ts';

const record: SnapshotRecord = {
  id: 'a'.repeat(32),
  client: 'laptop',
  timeNs: 1_700_000_000_000_000_000n,
  root: {
    name: new Uint8Array(0),
    kind: 'directory',
    mode: 0o755,
    uid: 0,
    gid: 0,
    mtimeNs: 1n,
    xattrs: [],
    tree: new Uint8Array(32).fill(5),
  },
  files: 1,
  bytes: 2,
  newBytes: 3,
  bytesFromSource: 15,
  bytesOnlyAtSource: 6,
  sourceUse: { onlyHolder: 1, holdersFailed: 2, notCountedOn: 3, deadline: 4, objects: 5 },
  peers: [{ peer: 'desktop', bytes: 7 }],
  storedBytes: 8,
  seconds: 0.5,
  exceptions: [],
};

test('a record comes back as it went in', () => {
  const read = decodeSnapshotRecord(encodeSnapshotRecord(record));
  assert.deepEqual(read.sourceUse, record.sourceUse);
  assert.deepEqual({ ...read, root: undefined }, { ...record, root: undefined });
});

test('a record from before reasons were noted has none, and one with wrong ones is refused', () => {
  const { sourceUse, ...before } = record;
  assert.equal(decodeSnapshotRecord(encodeSnapshotRecord(before)).sourceUse, undefined);
  const packed = { version: 1, ...before, root: packEntry(record.root) };
  for (const wrong of [5, [], { ...sourceUse, deadline: -1 }, {}]) {
    assert.throws(() => decodeSnapshotRecord(encode({ ...packed, sourceUse: wrong })), { code: 'E_CORRUPT' });
  }
});
