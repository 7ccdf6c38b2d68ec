/** When a file counts as the one that was hashed, though nobody tells what happened meanwhile. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isStampOf } from '../../src/index/stamps.ts';

const second = 1_000_000_000n;
const now = 1_000_000n * second;
const file = { size: 10, mtimeNs: now - 500n * second, ctimeNs: now - 500n * second };
const stamp = { ...file, readAtNs: now - 400n * second };
const judgement = { levelAtNs: 0n, doubtSinceNs: now - second, lostSinceNs: undefined, nowNs: () => now };

test('a file with the size and the times of its stamp is the one that was read, any other is not', () => {
  assert.equal(isStampOf(stamp, file, judgement), true);
  assert.equal(isStampOf(undefined, file, judgement), false);
  for (const change of [{ size: 11 }, { mtimeNs: file.mtimeNs + 1n }, { ctimeNs: file.ctimeNs - 1n }]) {
    assert.equal(isStampOf(stamp, { ...file, ...change }, judgement), false);
  }
});

test('a file read right after it was changed counts as changed, unless it was known to be level later', () => {
  const hasty = { ...stamp, readAtNs: file.ctimeNs + second };
  assert.equal(isStampOf(hasty, file, judgement), false);
  assert.equal(isStampOf(hasty, file, { ...judgement, levelAtNs: file.ctimeNs + second }), false);
  assert.equal(isStampOf(hasty, file, { ...judgement, levelAtNs: file.ctimeNs + 3n * second }), true);
  assert.equal(
    isStampOf(hasty, file, { ...judgement, doubtSinceNs: file.ctimeNs }),
    true,
    'read since it was in doubt',
  );
});

test('a time in the future proves nothing: the clock was set back since', () => {
  const hasty = { ...stamp, readAtNs: file.ctimeNs + second };
  assert.equal(isStampOf(hasty, file, { ...judgement, levelAtNs: now + second }), false);
  assert.equal(isStampOf({ ...stamp, readAtNs: now + second }, file, judgement), false);
  assert.equal(isStampOf(stamp, file, { ...judgement, lostSinceNs: now + second }), false);
});

test('after a power cut a file counts as changed if it was changed after what is surely on the disk', () => {
  const lost = (lostSinceNs: bigint) => isStampOf(stamp, file, { ...judgement, lostSinceNs });
  assert.equal(lost(file.ctimeNs + 3n * second), true);
  assert.equal(lost(file.ctimeNs + second), false);
  assert.equal(lost(file.ctimeNs - second), false);
  assert.equal(lost(0n), false);
  assert.equal(isStampOf(stamp, file, { ...judgement, lostSinceNs: 0n, doubtSinceNs: 0n }), true, 'read again since');
});
