/** Passwords, key slots and sealed files: what opens, what does not, and what counts as damage. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isCovaultError } from '../../src/core/errors.ts';
import { decrypt, encrypt } from '../../src/store/cipher.ts';
import { withFileSum } from '../../src/store/file-header.ts';
import { generatePassword, isGenerated } from '../../src/store/generated-password.ts';
import { decodeSlot, kdfFor, unwrapMasterKey, wrapMasterKey } from '../../src/store/key-slot.ts';
import { deriveStoreKeys } from '../../src/store/keys.ts';
import { openSealedFile, sealFile } from '../../src/store/sealed-file.ts';
import { testBytes, testKdf } from './store-fixture.ts';

const storeId = testBytes(1, 16);
const master = testBytes(2, 32);
const keys = deriveStoreKeys(master, storeId);

function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[bit >> 3] = (copy[bit >> 3] as number) ^ (1 << (bit & 7));
  return copy;
}

test('a slot gives the master key to its password alone', async () => {
  const slot = await wrapMasterKey(master, storeId, 'secret', testKdf);
  assert.deepEqual(new Uint8Array((await unwrapMasterKey(slot, 'slot', storeId, 'secret')) ?? []), master);
  for (const wrong of ['Secret', 'secret ', 'secre', Buffer.from([0])]) {
    assert.equal(await unwrapMasterKey(slot, 'slot', storeId, wrong), undefined);
  }
});

test('a password that was made by a machine is told from all others, and opens its slot at once', async () => {
  const made = generatePassword();
  assert.notEqual(made, generatePassword());
  assert.ok(isGenerated(made) && isGenerated(Buffer.from(made)));
  const changed = made.slice(0, -1) + (made.endsWith('A') ? 'Q' : 'A');
  for (const other of [changed, `${made} `, made.toUpperCase(), made.slice(0, -4), 'covault-key-', 'secret', '']) {
    assert.ok(!isGenerated(other), other);
    if (other !== '') assert.ok(kdfFor(other).memoryKiB >= 64 * 1024);
  }
  assert.ok(kdfFor(made).memoryKiB < 64 && kdfFor(made).passes === 1);
  const slot = await wrapMasterKey(master, storeId, made, kdfFor(made));
  assert.deepEqual(new Uint8Array((await unwrapMasterKey(slot, 'slot', storeId, made)) ?? []), master);
  assert.equal(await unwrapMasterKey(slot, 'slot', storeId, changed), undefined);
});

test('a password is the same however its letters were composed, and as bytes', async () => {
  const slot = await wrapMasterKey(master, storeId, 'caf\u00e9', testKdf);
  assert.ok(await unwrapMasterKey(slot, 'slot', storeId, 'cafe\u0301'));
  assert.ok(await unwrapMasterKey(slot, 'slot', storeId, Buffer.from('café'.normalize('NFC'))));
});

test('an empty password and senseless costs are refused', async () => {
  await assert.rejects(wrapMasterKey(master, storeId, '', testKdf), { code: 'E_BAD_INPUT' });
  for (const kdf of [
    { memoryKiB: 7 },
    { passes: 0 },
    { parallelism: 0 },
    { parallelism: 65 },
    { memoryKiB: 2 ** 23 },
  ]) {
    await assert.rejects(wrapMasterKey(master, storeId, 'x', { ...testKdf, ...kdf }), { code: 'E_BAD_INPUT' });
  }
});

test('any damaged bit of a slot is damage, never a wrong password', async () => {
  const slot = await wrapMasterKey(master, storeId, 'secret', testKdf);
  for (let bit = 0; bit < slot.byteLength * 8; bit++) {
    assert.throws(() => decodeSlot(flipped(slot, bit), 'keys/1', storeId), { code: 'E_CORRUPT', message: /keys\/1/ });
  }
  for (let length = 0; length < slot.byteLength; length++) {
    assert.throws(() => decodeSlot(slot.subarray(0, length), 'keys/1', storeId), { code: 'E_CORRUPT' });
  }
});

test("another store's slot does not fit", async () => {
  const slot = await wrapMasterKey(master, testBytes(9, 16), 'secret', testKdf);
  assert.throws(() => decodeSlot(slot, 'keys/1', storeId), { code: 'E_CORRUPT', message: /another store/ });
});

test('a sealed file opens under its name, for its kind, with its keys alone', () => {
  const payload = testBytes(3, 100);
  const file = sealFile('snapshot', 'snapshots/1', keys, payload);
  assert.deepEqual(new Uint8Array(openSealedFile('snapshot', 'snapshots/1', keys, file, 'f')), payload);
  const others = deriveStoreKeys(testBytes(4, 32), storeId);
  assert.throws(() => openSealedFile('snapshot', 'snapshots/2', keys, file, 'f'), { code: 'E_CORRUPT' });
  assert.throws(() => openSealedFile('index', 'snapshots/1', keys, file, 'f'), { code: 'E_CORRUPT' });
  assert.throws(() => openSealedFile('snapshot', 'snapshots/1', others, file, 'f'), { code: 'E_CORRUPT' });
});

test('any damage to a sealed file is found, with its name', () => {
  const file = sealFile('config', 'config', keys, testBytes(5, 50));
  const opens = (bytes: Uint8Array) => {
    try {
      openSealedFile('config', 'config', keys, bytes, 'the config');
      return true;
    } catch (error) {
      assert.ok(isCovaultError(error, 'E_CORRUPT') && /the config/.test(error.message));
      return false;
    }
  };
  assert.ok(opens(file));
  for (let bit = 0; bit < file.byteLength * 8; bit++) assert.equal(opens(flipped(file, bit)), false);
  for (let length = 0; length < file.byteLength; length++) assert.equal(opens(file.subarray(0, length)), false);
  assert.equal(opens(Buffer.concat([file, Buffer.from([0])])), false);
});

test('a newer version is told from damage', () => {
  const file = Buffer.from(sealFile('config', 'config', keys, testBytes(5, 50)));
  file.writeUInt16LE(2, 8);
  const newer = withFileSum(file.subarray(0, -32));
  assert.throws(() => openSealedFile('config', 'config', keys, newer, 'config'), { code: 'E_VERSION' });
});

test('equal payloads never give equal files', () => {
  const payload = testBytes(6, 10);
  const one = sealFile('config', 'config', keys, payload);
  assert.notDeepEqual(one, sealFile('config', 'config', keys, payload));
});

test('every purpose, salt, store and master key gives another key', () => {
  const all = [keys, deriveStoreKeys(testBytes(8, 32), storeId), deriveStoreKeys(master, testBytes(8, 16))].flatMap(
    (one) =>
      (['config', 'blocks', 'objects', 'indexes', 'snapshots'] as const).flatMap((purpose) =>
        [1, 2].map((salt) => Buffer.from(one.fileKey(purpose, testBytes(salt, 32))).toString('hex')),
      ),
  );
  assert.equal(new Set(all).size, 30);
});

test('the cipher gives back what it was given, and nothing when anything differs', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.uint8Array(), fc.nat(), (plain, associated, position) => {
      const use = { key: master, nonce: testBytes(1, 12), associated };
      const sealed = encrypt(use, plain);
      assert.deepEqual(new Uint8Array(decrypt(use, sealed) ?? [1]), plain);
      assert.equal(decrypt(use, flipped(sealed, position % (sealed.byteLength * 8))), undefined);
      assert.equal(decrypt({ ...use, associated: Buffer.concat([associated, Buffer.from([1])]) }, sealed), undefined);
      assert.equal(decrypt({ ...use, nonce: testBytes(2, 12) }, sealed), undefined);
      assert.equal(decrypt(use, sealed.subarray(0, position % sealed.byteLength)), undefined);
    }),
  );
});
