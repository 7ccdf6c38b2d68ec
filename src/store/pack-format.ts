/**
 * Packs: many blocks, or many trees and recipes, in one file, named by the SHA-256 of its bytes.
 *
 *   offset     bytes  content
 *        0        64  header (`file-header.ts`); kind 3: blocks, kind 4: objects
 *       64         …  entries, one behind the other: ciphertext and tag (16 bytes)
 *        t   42n + 16  trailer, encrypted: one row for each of the n entries, in their order; and its tag
 *  end - 16         4  n, little endian, as is the next
 *  end - 12         4  bytes of the trailer
 *   end - 8         8  magic: "PACKEND" and a line feed
 *
 * A row:
 *
 *   offset  bytes  content
 *        0     32  digest
 *       32      1  kind: 1 block, 2 tree, 3 recipe
 *       33      1  flags: 1 = compressed with zstd
 *       34      4  stored bytes: ciphertext and tag, little endian, as is the next
 *       38      4  bytes once decrypted and decompressed
 *
 * All is encrypted with the key of this file (`keys.ts`). The nonce is the offset within the pack (8 bytes, little
 * endian), then 4 bytes: 0 for an entry, 1 for the trailer; so it is never used twice. Associated data of an entry are
 * its row without the stored bytes, of the trailer the header: nothing can be swapped or relabelled.
 */
import type { Digest } from '../core/digest.ts';
import { digestBytes } from '../core/digest.ts';
import { CovaultError } from '../core/errors.ts';
import { limits } from '../core/limits.ts';
import type { ObjectKind } from '../core/ports.ts';
import { decrypt, encrypt, nonceBytes, tagBytes } from './cipher.ts';
import { fileKinds, headerBytes } from './file-header.ts';
import type { KeyPurpose, StoreKeys } from './keys.ts';

export type PackKind = 'blocks' | 'objects';
export type EntryKind = 'block' | ObjectKind;

/** One entry of a pack. */
export interface PackRow {
  digest: Digest;
  kind: EntryKind;
  compressed: boolean;
  /** Bytes from the pack's start. */
  offset: number;
  /** Bytes in the pack, tag included. */
  storedBytes: number;
  /** Bytes once decrypted and decompressed. */
  rawBytes: number;
}

/** A pack and what is in it: what its trailer says, and an index file repeats. */
export interface PackContents {
  /** SHA-256 of the pack's bytes, 64 hexadecimal digits. */
  hash: string;
  kind: PackKind;
  salt: Uint8Array;
  /** Bytes of the whole file. */
  bytes: number;
  rows: PackRow[];
}

export const footerBytes = 16;
export const packRowBytes = 42;
const footerMagic = Buffer.from('PACKEND\n', 'latin1');
const kindCodes: Record<EntryKind, number> = { block: 1, tree: 2, recipe: 3 };
const kindsByCode = new Map<number, EntryKind>([
  [1, 'block'],
  [2, 'tree'],
  [3, 'recipe'],
]);

export function packKindOf(kind: EntryKind): PackKind {
  return kind === 'block' ? 'blocks' : 'objects';
}

export function packFileKind(kind: PackKind) {
  return kind === 'blocks' ? fileKinds.blockPack : fileKinds.objectPack;
}

export function packKey(keys: StoreKeys, kind: PackKind, salt: Uint8Array): Uint8Array {
  const purpose: KeyPurpose = kind;
  return keys.fileKey(purpose, salt);
}

/** Encrypts one entry for its place in the pack; `body` is compressed if the row says so. */
export function encryptEntry(key: Uint8Array, row: Omit<PackRow, 'storedBytes'>, body: Uint8Array): Uint8Array {
  return encrypt({ key, nonce: nonceAt(row.offset, 0), associated: entryAssociated(row) }, body);
}

/** The inverse of `encryptEntry`; undefined if it is not what was written there. */
export function decryptEntry(
  key: Uint8Array,
  row: Omit<PackRow, 'storedBytes'>,
  stored: Uint8Array,
): Uint8Array | undefined {
  return decrypt({ key, nonce: nonceAt(row.offset, 0), associated: entryAssociated(row) }, stored);
}

/** Trailer and footer of a pack whose entries end at `offset`. */
export function encodeTrailer(
  key: Uint8Array,
  header: Uint8Array,
  offset: number,
  rows: readonly PackRow[],
): Uint8Array {
  const table = Buffer.alloc(rows.length * packRowBytes);
  rows.forEach((row, position) => {
    writeRow(table, position * packRowBytes, row);
  });
  const trailer = encrypt({ key, nonce: nonceAt(offset, 1), associated: header }, table);
  const footer = Buffer.alloc(footerBytes);
  footer.writeUInt32LE(rows.length, 0);
  footer.writeUInt32LE(trailer.byteLength, 4);
  footerMagic.copy(footer, 8);
  return Buffer.concat([trailer, footer]);
}

/**
 * Bytes of the trailer, from the footer of the pack `name` of `packBytes` bytes.
 *
 * @throws CovaultError `E_CORRUPT`.
 */
export function decodeFooter(footer: Uint8Array, name: string, packBytes: number): number {
  const view = Buffer.from(footer.buffer, footer.byteOffset, footer.byteLength);
  const count = view.readUInt32LE(0);
  const trailerBytes = view.readUInt32LE(4);
  if (
    !view.subarray(8).equals(footerMagic) ||
    trailerBytes !== count * packRowBytes + tagBytes ||
    trailerBytes > packBytes - headerBytes - footerBytes
  ) {
    throw new CovaultError('E_CORRUPT', `${name} has no trailer: it is truncated or damaged`);
  }
  return trailerBytes;
}

/**
 * The rows in the trailer that begins at `offset` of the pack `name`.
 *
 * @throws CovaultError `E_CORRUPT`.
 */
export function decodeTrailer(
  key: Uint8Array,
  header: Uint8Array,
  offset: number,
  trailer: Uint8Array,
  name: string,
): PackRow[] {
  const table = decrypt({ key, nonce: nonceAt(offset, 1), associated: header }, trailer);
  if (!table) throw new CovaultError('E_CORRUPT', `${name} has a damaged trailer`);
  const view = Buffer.from(table.buffer, table.byteOffset, table.byteLength);
  const rows: PackRow[] = [];
  let at = headerBytes;
  for (let position = 0; position < view.byteLength; position += packRowBytes) {
    const row = readRow(view, position, at, name);
    rows.push(row);
    at += row.storedBytes;
  }
  if (at !== offset) throw new CovaultError('E_CORRUPT', `${name} has a trailer that does not add up`);
  return rows;
}

/** Checks what a row says against the limits; a row that comes from disk goes through this. */
export function checkRow(row: PackRow, name: string): PackRow {
  const max = row.kind === 'block' ? limits.blockBytesMax : limits.objectBytesMax;
  const bodyBytes = row.storedBytes - tagBytes;
  if (row.rawBytes > max || bodyBytes < 0 || (row.compressed ? bodyBytes > max : bodyBytes !== row.rawBytes)) {
    throw new CovaultError('E_CORRUPT', `${name} lists an entry of impossible size`);
  }
  return row;
}

export function entryKindCode(kind: EntryKind): number {
  return kindCodes[kind];
}

/** @throws CovaultError `E_CORRUPT` if there is no kind of that code. */
export function entryKindOf(code: number | undefined, name: string): EntryKind {
  const kind = code === undefined ? undefined : kindsByCode.get(code);
  if (!kind) throw new CovaultError('E_CORRUPT', `${name} lists an entry of unknown kind`);
  return kind;
}

function writeRow(table: Buffer, position: number, row: PackRow): void {
  table.set(row.digest, position);
  table.writeUInt8(kindCodes[row.kind], position + 32);
  table.writeUInt8(row.compressed ? 1 : 0, position + 33);
  table.writeUInt32LE(row.storedBytes, position + 34);
  table.writeUInt32LE(row.rawBytes, position + 38);
}

function readRow(table: Buffer, position: number, offset: number, name: string): PackRow {
  return checkRow(
    {
      digest: new Uint8Array(table.subarray(position, position + digestBytes)),
      kind: entryKindOf(table[position + 32], name),
      compressed: table[position + 33] === 1,
      offset,
      storedBytes: table.readUInt32LE(position + 34),
      rawBytes: table.readUInt32LE(position + 38),
    },
    name,
  );
}

function nonceAt(offset: number, part: 0 | 1): Uint8Array {
  const nonce = Buffer.alloc(nonceBytes);
  nonce.writeBigUInt64LE(BigInt(offset), 0);
  nonce.writeUInt32LE(part, 8);
  return nonce;
}

function entryAssociated(row: Omit<PackRow, 'storedBytes'>): Uint8Array {
  const bytes = Buffer.alloc(digestBytes + 6);
  bytes.set(row.digest, 0);
  bytes.writeUInt8(kindCodes[row.kind], 32);
  bytes.writeUInt8(row.compressed ? 1 : 0, 33);
  bytes.writeUInt32LE(row.rawBytes, 34);
  return bytes;
}
