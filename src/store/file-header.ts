/**
 * The first 64 bytes of every file of a store:
 *
 *   offset  bytes  content
 *        0      8  magic: "COVAULT" and a line feed
 *        8      2  version of the format, little endian: 1
 *       10      1  kind of file (`fileKinds`)
 *       11      5  zero
 *       16     16  id of the store
 *       32     32  salt: random, new for every file
 *
 * Every file but a pack (whose name does this) ends with 32 bytes of SHA-256 over all before them: damage can be told
 * from a wrong password and from a newer version, and found without a password. Later versions keep to this.
 */
import { randomBytesOf } from '../core/clock.ts';
import { CovaultError } from '../core/errors.ts';
import { checksum, checksumBytes } from './cipher.ts';

export const headerBytes = 64;
export const storeIdBytes = 16;
export const saltBytes = 32;

export const fileKinds = { config: 1, key: 2, blockPack: 3, objectPack: 4, index: 5, snapshot: 6 } as const;
export type FileKind = (typeof fileKinds)[keyof typeof fileKinds];

export interface FileHeader {
  kind: FileKind;
  /** 16 bytes. */
  storeId: Uint8Array;
  /** 32 bytes. */
  salt: Uint8Array;
}

const magic = Buffer.from('COVAULT\n', 'latin1');
const version = 1;

/** A header with a new salt. */
export function newHeader(kind: FileKind, storeId: Uint8Array): FileHeader {
  return { kind, storeId, salt: randomBytesOf(saltBytes) };
}

export function encodeHeader(header: FileHeader): Uint8Array {
  const bytes = Buffer.alloc(headerBytes);
  magic.copy(bytes, 0);
  bytes.writeUInt16LE(version, 8);
  bytes.writeUInt8(header.kind, 10);
  bytes.set(header.storeId, 16);
  bytes.set(header.salt, 32);
  return bytes;
}

/** Whether these bytes begin as files of a store do. */
export function hasMagic(bytes: Uint8Array): boolean {
  return magic.equals(bytes.subarray(0, magic.byteLength));
}

/**
 * Reads and checks the header of the file `name`.
 *
 * @param expect kind, and id of the store where that is known.
 * @throws CovaultError `E_CORRUPT` if this is no file of that kind or belongs to another store, `E_VERSION`.
 */
export function decodeHeader(
  bytes: Uint8Array,
  name: string,
  expect: { kind: FileKind; storeId?: Uint8Array },
): FileHeader {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.byteLength < headerBytes || !hasMagic(view)) {
    throw new CovaultError('E_CORRUPT', `${name} is not a file of a store`);
  }
  const found = view.readUInt16LE(8);
  if (found !== version) {
    throw new CovaultError('E_VERSION', `${name} has format version ${found}, this program reads ${version}`, {
      hint: 'use the version of Covault that wrote it, or a newer one',
    });
  }
  if (view[10] !== expect.kind) throw new CovaultError('E_CORRUPT', `${name} is a file of another kind`);
  const storeId = view.subarray(16, 32);
  if (expect.storeId && !storeId.equals(expect.storeId)) {
    throw new CovaultError('E_CORRUPT', `${name} belongs to another store`);
  }
  return { kind: expect.kind, storeId: new Uint8Array(storeId), salt: new Uint8Array(view.subarray(32, 64)) };
}

/** `bytes` with their SHA-256 behind them. */
export function withFileSum(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([bytes, checksum(bytes)]);
}

/** @throws CovaultError `E_CORRUPT` if `bytes` do not end with the SHA-256 of those before. */
export function checkFileSum(bytes: Uint8Array, name: string): void {
  const end = bytes.byteLength - checksumBytes;
  if (end < headerBytes || Buffer.compare(bytes.subarray(end), checksum(bytes.subarray(0, end))) !== 0) {
    throw new CovaultError('E_CORRUPT', `${name} is damaged`);
  }
}
