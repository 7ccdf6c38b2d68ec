/** Figures as people read them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  formatBytes,
  formatCount,
  formatSeconds,
  formatShare,
  formatTable,
  formatTime,
  parseBytes,
} from '../../src/commands/sizes.ts';

test('sizes are in units of 1000 and never show 1000.0', () => {
  assert.equal(formatBytes(0), '0 B');
  assert.equal(formatBytes(999), '999 B');
  assert.equal(formatBytes(1000), '1.0 kB');
  assert.equal(formatBytes(999_949), '999.9 kB');
  assert.equal(formatBytes(999_950), '1.0 MB');
  assert.equal(formatBytes(312_400_000), '312.4 MB');
  fc.assert(fc.property(fc.maxSafeNat(), (bytes) => !formatBytes(bytes).startsWith('1000')));
});

test('counts are grouped by three', () => {
  assert.equal(formatCount(0), '0');
  assert.equal(formatCount(999), '999');
  assert.equal(formatCount(1_234_567), '1 234 567');
});

test('shares of nothing are nothing', () => {
  assert.equal(formatShare(1, 3), '33.3 %');
  assert.equal(formatShare(0, 0), '0.0 %');
});

test('durations use the units that fit and carry over', () => {
  assert.equal(formatSeconds(0.04), '0.0 s');
  assert.equal(formatSeconds(59.94), '59.9 s');
  assert.equal(formatSeconds(59.96), '1 min 00 s');
  assert.equal(formatSeconds(185), '3 min 05 s');
  assert.equal(formatSeconds(3599.6), '1 h 00 min');
  assert.equal(formatSeconds(2 * 3600 + 7 * 60), '2 h 07 min');
});

test('times are local, to the second', () => {
  const time = new Date(2026, 7, 2, 4, 3, 9);
  assert.equal(formatTime(BigInt(time.getTime()) * 1_000_000n + 999_999n), '2026-08-02 04:03:09');
});

test('tables align columns and leave no spaces at the ends', () => {
  const rows = [
    ['peer', 'bytes', 'x'],
    ['a', '1', ''],
  ];
  assert.deepEqual(formatTable(rows, [1]), ['peer  bytes  x', 'a         1']);
});

test('sizes are read in units of 1000, whatever their case', () => {
  assert.equal(parseBytes('500'), 500);
  assert.equal(parseBytes('10MB'), 10_000_000);
  assert.equal(parseBytes('1.5 gb'), 1_500_000_000);
  for (const text of ['', '0', '-1', '1 MiB', 'MB', '1e3', '0.1']) {
    assert.throws(() => parseBytes(text), { code: 'E_BAD_INPUT' }, text);
  }
});
