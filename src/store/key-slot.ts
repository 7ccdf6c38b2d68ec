/**
 * Key slots: the master key wrapped by a password, through Argon2id (RFC 9106) and AES-256-GCM. A store has one slot
 * for each password.
 *
 *   offset  bytes  content
 *        0     64  header (`file-header.ts`), its salt is that of Argon2id
 *       64      4  memory of Argon2id in KiB, little endian, as are the next two
 *       68      4  passes
 *       72      4  parallelism
 *       76     48  master key, encrypted, with its tag; bytes 0 to 75 are the associated data
 *      124     32  SHA-256 of bytes 0 to 123: tells damage from a wrong password
 *
 * The wrapping key comes from a fresh salt and encrypts once: its nonce is zero.
 */
import { argon2 } from 'node:crypto';
import { promisify } from 'node:util';
import { CovaultError } from '../core/errors.ts';
import { checksumBytes, cipherKeyBytes, decrypt, encrypt, nonceBytes, tagBytes } from './cipher.ts';
import {
  checkFileSum,
  decodeHeader,
  encodeHeader,
  fileKinds,
  headerBytes,
  newHeader,
  withFileSum,
} from './file-header.ts';
import { isGenerated } from './generated-password.ts';
import { masterKeyBytes } from './keys.ts';

const argon2InPool = promisify(argon2);

/** What deriving a key from a password costs. */
export interface KdfParameters {
  memoryKiB: number;
  passes: number;
  parallelism: number;
}

/** RFC 9106's second recommended option but for one lane: 64 MiB, 3 passes; 0.2 to 0.5 s. */
const personKdf: KdfParameters = { memoryKiB: 64 * 1024, passes: 3, parallelism: 1 };

/** The least that Argon2id can cost. */
const generatedKdf: KdfParameters = { memoryKiB: 8, passes: 1, parallelism: 1 };

/** What trying passwords shall cost is decided by who made this one. */
export function kdfFor(password: string | Uint8Array): KdfParameters {
  return isGenerated(password) ? generatedKdf : personKdf;
}

/** Beyond these a slot is taken for damaged or hostile: 4 GiB of memory, minutes of time. */
const kdfMax: KdfParameters = { memoryKiB: 4 * 1024 * 1024, passes: 1000, parallelism: 64 };

const wrappedAt = headerBytes + 12;
const checksumAt = wrappedAt + masterKeyBytes + tagBytes;
const slotBytes = checksumAt + checksumBytes;
const zeroNonce = new Uint8Array(nonceBytes);

/**
 * The bytes of a new slot.
 *
 * @throws CovaultError `E_BAD_INPUT` for an empty password or senseless parameters.
 */
export async function wrapMasterKey(
  master: Uint8Array,
  storeId: Uint8Array,
  password: string | Uint8Array,
  kdf: KdfParameters,
): Promise<Uint8Array> {
  if (!isSensible(kdf)) throw new CovaultError('E_BAD_INPUT', 'parameters of Argon2id are out of bounds');
  const header = newHeader(fileKinds.key, storeId);
  const slot = Buffer.alloc(checksumAt);
  slot.set(encodeHeader(header), 0);
  slot.writeUInt32LE(kdf.memoryKiB, headerBytes);
  slot.writeUInt32LE(kdf.passes, headerBytes + 4);
  slot.writeUInt32LE(kdf.parallelism, headerBytes + 8);
  const key = await passwordKey(password, header.salt, kdf);
  slot.set(encrypt({ key, nonce: zeroNonce, associated: slot.subarray(0, wrappedAt) }, master), wrappedAt);
  return withFileSum(slot);
}

/**
 * The master key in a slot, or undefined if the password is not this slot's.
 *
 * @param name of the slot's file, for messages.
 * @throws CovaultError `E_CORRUPT` for damage or another store's slot, `E_VERSION`, `E_BAD_INPUT` for an empty password.
 */
export async function unwrapMasterKey(
  slot: Uint8Array,
  name: string,
  storeId: Uint8Array,
  password: string | Uint8Array,
): Promise<Uint8Array | undefined> {
  const { salt, kdf } = decodeSlot(slot, name, storeId);
  const key = await passwordKey(password, salt, kdf);
  const associated = slot.subarray(0, wrappedAt);
  return decrypt({ key, nonce: zeroNonce, associated }, slot.subarray(wrappedAt, checksumAt));
}

/** Checks all of a slot that can be checked without a password; throws as `unwrapMasterKey` does. */
export function decodeSlot(
  slot: Uint8Array,
  name: string,
  storeId: Uint8Array,
): { salt: Uint8Array; kdf: KdfParameters } {
  checkFileSum(slot, name);
  const { salt } = decodeHeader(slot, name, { kind: fileKinds.key, storeId });
  if (slot.byteLength !== slotBytes) throw new CovaultError('E_CORRUPT', `${name} is not a key`);
  const view = Buffer.from(slot.buffer, slot.byteOffset, slot.byteLength);
  const kdf: KdfParameters = {
    memoryKiB: view.readUInt32LE(headerBytes),
    passes: view.readUInt32LE(headerBytes + 4),
    parallelism: view.readUInt32LE(headerBytes + 8),
  };
  if (!isSensible(kdf)) throw new CovaultError('E_CORRUPT', `${name} asks for senseless parameters of Argon2id`);
  return { salt, kdf };
}

function isSensible(kdf: KdfParameters): boolean {
  const within = (value: number, min: number, max: number) => Number.isInteger(value) && value >= min && value <= max;
  return (
    within(kdf.parallelism, 1, kdfMax.parallelism) &&
    within(kdf.passes, 1, kdfMax.passes) &&
    within(kdf.memoryKiB, 8 * kdf.parallelism, kdfMax.memoryKiB)
  );
}

/** A text counts as its Unicode normal form C in UTF-8, so that it is one password from every keyboard. */
async function passwordKey(password: string | Uint8Array, nonce: Uint8Array, kdf: KdfParameters): Promise<Uint8Array> {
  const message = typeof password === 'string' ? Buffer.from(password.normalize('NFC')) : password;
  if (message.byteLength === 0) throw new CovaultError('E_BAD_INPUT', 'the password is empty');
  return argon2InPool('argon2id', {
    message,
    nonce,
    parallelism: kdf.parallelism,
    memory: kdf.memoryKiB,
    passes: kdf.passes,
    tagLength: cipherKeyBytes,
  });
}
