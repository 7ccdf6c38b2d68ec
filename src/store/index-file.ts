/**
 * Index files: what packs contain, so that trailers need not be read one by one. A sealed file (`sealed-file.ts`)
 * bound to the folder `indexes/`, named by the SHA-256 of its bytes, with this payload (numbers little endian):
 *
 *   offset  bytes  content
 *        0      4  packs
 *        4      …  packs, one behind the other:
 *        0     32    hash: the name of the pack
 *       32     32    salt of the pack
 *       64      1    kind: 1 blocks, 2 objects
 *       65      3    zero
 *       68      4    bytes of the pack
 *       72      4    rows
 *       76      …    rows of 46 bytes: digest 32, kind 1, flags 1, offset 4, stored bytes 4, raw bytes 4;
 *                    kind and flags as in a pack's trailer (`pack-format.ts`)
 *
 * What an index file says stays true for ever, since packs never change: files may overlap, be merged, be removed when
 * others say the same. Of a pack of objects, only complete ones are listed: those whose blocks, trees and recipes are
 * in the store too.
 */
import { digestBytes } from '../core/digest.ts';
import { CovaultError } from '../core/errors.ts';
import type { Backend } from './backend.ts';
import { checksum, checksumBytes } from './cipher.ts';
import { saltBytes } from './file-header.ts';
import type { StoreKeys } from './keys.ts';
import { indexesFolder, indexName } from './layout.ts';
import { checkRow, entryKindCode, entryKindOf, type PackContents, type PackRow } from './pack-format.ts';
import { openSealedFile, sealFile } from './sealed-file.ts';

/** What an index file says about one pack; rows stay packed until they are needed. */
export interface IndexedPack extends Omit<PackContents, 'rows'> {
  /** Rows of `indexRowBytes`. */
  rows: Buffer;
}

export const indexRowBytes = 46;
const packHeadBytes = 76;

/** The packed form of a pack's rows. */
export function indexedPack(contents: PackContents): IndexedPack {
  const rows = Buffer.alloc(contents.rows.length * indexRowBytes);
  contents.rows.forEach((row, position) => {
    const at = position * indexRowBytes;
    rows.set(row.digest, at);
    rows.writeUInt8(entryKindCode(row.kind), at + 32);
    rows.writeUInt8(row.compressed ? 1 : 0, at + 33);
    rows.writeUInt32LE(row.offset, at + 34);
    rows.writeUInt32LE(row.storedBytes, at + 38);
    rows.writeUInt32LE(row.rawBytes, at + 42);
  });
  return { ...contents, rows };
}

export function rowCount(pack: IndexedPack): number {
  return pack.rows.byteLength / indexRowBytes;
}

/**
 * The rows of a pack, in order; digests are views into `pack.rows`.
 *
 * @param name of the index file, for messages.
 * @throws CovaultError `E_CORRUPT`.
 */
export function* eachRow(pack: IndexedPack, name: string): Generator<PackRow> {
  const { rows } = pack;
  for (let at = 0; at < rows.byteLength; at += indexRowBytes) {
    const row: PackRow = {
      digest: rows.subarray(at, at + digestBytes),
      kind: entryKindOf(rows[at + 32], name),
      compressed: rows[at + 33] === 1,
      offset: rows.readUInt32LE(at + 34),
      storedBytes: rows.readUInt32LE(at + 38),
      rawBytes: rows.readUInt32LE(at + 42),
    };
    if (row.offset + row.storedBytes > pack.bytes) {
      throw new CovaultError('E_CORRUPT', `${name} lists an entry beyond the end of its pack`);
    }
    yield checkRow(row, name);
  }
}

/** Writes an index file; its name and size. */
export async function writeIndexFile(
  backend: Backend,
  keys: StoreKeys,
  packs: readonly IndexedPack[],
): Promise<{ name: string; bytes: number }> {
  const file = sealFile('index', indexesFolder, keys, encodePacks(packs));
  const name = indexName(Buffer.from(checksum(file)).toString('hex'));
  await backend.write(name, [file]);
  return { name, bytes: file.byteLength };
}

/** @throws CovaultError `E_CORRUPT`, `E_VERSION`, `E_NOT_FOUND`, `E_IO`. */
export async function readIndexFile(backend: Backend, keys: StoreKeys, name: string): Promise<IndexedPack[]> {
  const payload = openSealedFile('index', indexesFolder, keys, await backend.read(name), name);
  return decodePacks(payload, name);
}

function encodePacks(packs: readonly IndexedPack[]): Uint8Array {
  const count = Buffer.alloc(4);
  count.writeUInt32LE(packs.length);
  const parts: Uint8Array[] = [count];
  for (const pack of packs) {
    const head = Buffer.alloc(packHeadBytes);
    head.write(pack.hash, 0, 'hex');
    head.set(pack.salt, 32);
    head.writeUInt8(pack.kind === 'blocks' ? 1 : 2, 64);
    head.writeUInt32LE(pack.bytes, 68);
    head.writeUInt32LE(rowCount(pack), 72);
    parts.push(head, pack.rows);
  }
  return Buffer.concat(parts);
}

function decodePacks(payload: Uint8Array, name: string): IndexedPack[] {
  const view = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  const packs: IndexedPack[] = [];
  let at = 4;
  const need = (bytes: number) => {
    if (at + bytes > view.byteLength) throw new CovaultError('E_CORRUPT', `${name} ends too early`);
  };
  if (view.byteLength < 4) throw new CovaultError('E_CORRUPT', `${name} ends too early`);
  for (let left = view.readUInt32LE(0); left > 0; left--) {
    need(packHeadBytes);
    const head = view.subarray(at, at + packHeadBytes);
    const rowsBytes = head.readUInt32LE(72) * indexRowBytes;
    at += packHeadBytes;
    need(rowsBytes);
    packs.push({
      hash: head.toString('hex', 0, checksumBytes),
      salt: new Uint8Array(head.subarray(32, 32 + saltBytes)),
      kind: head[64] === 1 ? 'blocks' : 'objects',
      bytes: head.readUInt32LE(68),
      rows: view.subarray(at, at + rowsBytes),
    });
    at += rowsBytes;
  }
  if (at !== view.byteLength) throw new CovaultError('E_CORRUPT', `${name} is longer than it says`);
  return packs;
}
