/** Reading packs: their trailers, and entries out of them. */

import { decompress } from '../core/compression.ts';
import { type Digester, digestHex, digestsEqual } from '../core/digest.ts';
import { CovaultError } from '../core/errors.ts';
import type { Backend } from './backend.ts';
import { decodeHeader, headerBytes } from './file-header.ts';
import type { StoreKeys } from './keys.ts';
import { packHash, packName } from './layout.ts';
import {
  decodeFooter,
  decodeTrailer,
  decryptEntry,
  footerBytes,
  type PackContents,
  type PackKind,
  type PackRow,
  packFileKind,
  packKey,
} from './pack-format.ts';

/** Bytes read from the end of a pack at first: the whole trailer of nearly every pack of blocks. */
const tailBytes = 32 * 1024;

/**
 * What the pack `name` of `bytes` bytes contains, from its own header and trailer. Entries are not read.
 *
 * @throws CovaultError `E_CORRUPT` if it is damaged, truncated or another store's; `E_VERSION`, `E_NOT_FOUND`, `E_IO`.
 */
export async function readPackContents(
  backend: Backend,
  keys: StoreKeys,
  name: string,
  bytes: number,
): Promise<PackContents> {
  const hash = packHash(name);
  if (hash === undefined || bytes < headerBytes + footerBytes) {
    throw new CovaultError('E_CORRUPT', `${name} is not a pack`);
  }
  const head = await backend.read(name, { offset: 0, length: headerBytes });
  const { kind, salt } = packHeaderOf(head, name, keys);
  let length = Math.min(bytes, tailBytes);
  let tail = await backend.read(name, { offset: bytes - length, length });
  const trailerBytes = decodeFooter(tail.subarray(-footerBytes), name, bytes);
  if (trailerBytes + footerBytes > length) {
    length = trailerBytes + footerBytes;
    tail = await backend.read(name, { offset: bytes - length, length });
  }
  const trailer = tail.subarray(length - footerBytes - trailerBytes, length - footerBytes);
  const offset = bytes - footerBytes - trailerBytes;
  const rows = decodeTrailer(packKey(keys, kind, salt), head, offset, trailer, name);
  return { hash, kind, salt, bytes, rows };
}

/**
 * The bytes of one entry, verified.
 *
 * @param pack hash of the pack, for messages.
 * @param stored the entry as it stands in the pack.
 * @throws CovaultError `E_CORRUPT`.
 */
export async function openEntry(
  key: Uint8Array,
  pack: string,
  row: PackRow,
  stored: Uint8Array,
  digester: Digester,
): Promise<Uint8Array> {
  const what = `${row.kind} ${digestHex(row.digest)} in ${packName(pack)}`;
  const body = decryptEntry(key, row, stored);
  if (!body) throw new CovaultError('E_CORRUPT', `${what} is damaged`);
  const bytes = row.compressed ? await decompress(body, row.rawBytes) : body;
  if (!digestsEqual(digester.digest(bytes), row.digest)) {
    throw new CovaultError('E_CORRUPT', `${what} has other content than its digest says`);
  }
  return bytes;
}

function packHeaderOf(head: Uint8Array, name: string, keys: StoreKeys): { kind: PackKind; salt: Uint8Array } {
  const kind: PackKind = head[10] === packFileKind('objects') ? 'objects' : 'blocks';
  const { salt } = decodeHeader(head, name, { kind: packFileKind(kind), storeId: keys.storeId });
  return { kind, salt };
}
