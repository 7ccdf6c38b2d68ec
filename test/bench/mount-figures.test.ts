/** How the mount benchmark goes on after an interruption, and how it judges: the parts that need no mount. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Measurements } from '../../bench/mount/measurements.ts';
import { jsonFigures, markdownTable } from '../../bench/mount/report.ts';

const turn = { storage: 'ext4', sequence: 'tree', side: 'bare', round: 0 } as const;

test('a run goes on where its record ends', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'covault-bench-figures-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const record = join(directory, 'record');
  const first = new Measurements(record, { dataMode: 'writeback' });
  first.add(turn, { untar: 3, find: 1 });
  first.add({ ...turn, round: 1 }, { untar: 5 });

  const second = new Measurements(record, { dataMode: 'writeback' });
  assert.ok(second.has({ ...turn, round: 1 }));
  assert.ok(!second.has({ ...turn, round: 2 }));
  assert.ok(!second.has({ ...turn, side: 'covault' }));
  second.add({ ...turn, round: 2 }, { untar: 7 });
  assert.deepEqual(second.medians().get('ext4/untar'), { bare: 5 });
  assert.deepEqual(second.medians().get('ext4/find'), { bare: 1 });
  assert.throws(() => new Measurements(record, { dataMode: 'write-through' }), /name another file/);
});

test('the table judges each aim by the sides that were run', () => {
  const table = (figures: Record<string, number>) => markdownTable(new Map([['ext4/untar', figures]]));
  assert.match(table({ bare: 1, covault: 1.3, passthroughHp: 2 }), /≤ 1\.4 bare: met; ≤ 1 hp: met \|/);
  assert.match(
    table({ bare: 1, covault: 1.5, indexing: 1.8 }),
    /bare: \*\*missed\*\*, 1\.50; .*Covault: \*\*missed\*\*, 1\.20 \|/,
  );
  assert.doesNotMatch(table({ bare: 1, covault: 1.5 }), /hp: /);
});

test('figures with the index at work stand under a key of their own', () => {
  const figures = jsonFigures(new Map([['tmpfs/create', { bare: 1, covault: 2, indexing: 3, bindfs: 4 }]]));
  assert.deepEqual(figures, {
    'tmpfs/create': { bare: 1, covault: 2, bindfs: 4 },
    'tmpfs+indexing/create': { bare: 1, covault: 3, bindfs: 4 },
  });
});
