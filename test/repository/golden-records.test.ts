/** Records of version 1 as they were first written: what an earlier release left on disk must go on being read. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encode } from '../../src/core/codec.ts';
import { isCovaultError } from '../../src/core/errors.ts';
import {
  decodeCounts,
  decodeLease,
  decodeMember,
  decodePosition,
  decodeToken,
  encodeCounts,
  encodeLease,
  encodeMember,
  encodePosition,
  encodeToken,
} from '../../src/repository/map-records.ts';

const history = 'ab'.repeat(16);
const timeMs = 1_800_000_000_000;

function check<T>(pack: (value: T) => Uint8Array, unpack: (bytes: Uint8Array) => T, value: T, hex: string): void {
  assert.equal(Buffer.from(pack(value)).toString('hex'), hex);
  assert.deepEqual(unpack(Buffer.from(hex, 'hex')), value);
}

test('records of version 1 are written and read as they were', () => {
  check(
    encodeMember,
    decodeMember,
    { number: 7, name: 'laptop', role: 'client' as const, fingerprint: 'cd'.repeat(32), joinedMs: timeMs },
    '960107a66c6170746f70a6636c69656e74d9406364636463646364636463646364636463646364636463646364636463' +
      '6463646364636463646364636463646364636463646364636463646364636463646364cb427a3185c5000000',
  );
  check(
    encodeLease,
    decodeLease,
    { url: 'https://10.0.0.1:7421', load: 2, renewedMs: timeMs, untilMs: timeMs + 30_000 },
    '9501b568747470733a2f2f31302e302e302e313a3734323102cb427a3185c5000000cb427a3185cc530000',
  );
  check(
    encodePosition,
    decodePosition,
    { history, sequence: 70_000 },
    '9301d9206162616261626162616261626162616261626162616261626162616261626162ce00011170',
  );
  check(
    encodePosition,
    decodePosition,
    { history, resync: { id: history, sequence: 5, after: new Uint8Array(32).fill(9) } },
    '9301d920616261626162616261626162616261626162616261626162616261626162616293d920616261626162616261' +
      '626162616261626162616261626162616261626162616205c42009090909090909090909090909090909090909090909' +
      '09090909090909090909',
  );
  check(
    encodeToken,
    decodeToken,
    { role: 'administrator' as const, name: 'boss', expiresMs: timeMs },
    '9401ad61646d696e6973747261746f72a4626f7373cb427a3185c5000000',
  );
  check(encodeCounts, decodeCounts, { holdings: 5, missing: 1 }, '93010501');
});

test('records of another version are named as such', () => {
  for (const unpack of [decodeMember, decodeLease, decodePosition, decodeToken, decodeCounts]) {
    assert.throws(
      () => unpack(encode([2, 1, 1, 1, 1, 1])),
      (error) => isCovaultError(error, 'E_VERSION'),
    );
  }
});
