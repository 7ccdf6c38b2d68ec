/**
 * Small encrypted files (config, index files, snapshot records):
 *
 *   offset  bytes  content
 *        0     64  header (`file-header.ts`)
 *       64      n  payload, encrypted, with its tag (16 bytes)
 *   64 + n     32  SHA-256 of everything before: tells damage without a key
 *
 * The key comes from the header's salt and encrypts once: its nonce is zero. Associated data are the header and the
 * binding, so that one file's bytes are not taken for another's.
 */
import { CovaultError } from '../core/errors.ts';
import { checksumBytes, decrypt, encrypt, nonceBytes } from './cipher.ts';
import {
  checkFileSum,
  decodeHeader,
  encodeHeader,
  type FileHeader,
  type FileKind,
  fileKinds,
  headerBytes,
  newHeader,
  withFileSum,
} from './file-header.ts';
import type { KeyPurpose, StoreKeys } from './keys.ts';

export type SealedKind = 'config' | 'index' | 'snapshot';

const purposes: Record<SealedKind, { kind: FileKind; purpose: KeyPurpose }> = {
  config: { kind: fileKinds.config, purpose: 'config' },
  index: { kind: fileKinds.index, purpose: 'indexes' },
  snapshot: { kind: fileKinds.snapshot, purpose: 'snapshots' },
};

const zeroNonce = new Uint8Array(nonceBytes);

/**
 * The bytes of a file with `payload`.
 *
 * @param binding what the file must be found under: its name, or its folder where the name follows from the content.
 */
export function sealFile(kind: SealedKind, binding: string, keys: StoreKeys, payload: Uint8Array): Uint8Array {
  const header = newHeader(purposes[kind].kind, keys.storeId);
  const head = encodeHeader(header);
  const key = keys.fileKey(purposes[kind].purpose, header.salt);
  const body = encrypt({ key, nonce: zeroNonce, associated: associatedData(head, binding) }, payload);
  return withFileSum(Buffer.concat([head, body]));
}

/**
 * The payload of the file `name`.
 *
 * @throws CovaultError `E_CORRUPT`, `E_VERSION`.
 */
export function openSealedFile(
  kind: SealedKind,
  binding: string,
  keys: StoreKeys,
  bytes: Uint8Array,
  name: string,
): Uint8Array {
  const header = checkSealedFile(kind, bytes, name, keys.storeId);
  const key = keys.fileKey(purposes[kind].purpose, header.salt);
  const associated = associatedData(bytes.subarray(0, headerBytes), binding);
  const payload = decrypt({ key, nonce: zeroNonce, associated }, bytes.subarray(headerBytes, -checksumBytes));
  if (!payload)
    throw new CovaultError('E_CORRUPT', `${name} does not decrypt: it was changed or put in another's place`);
  return payload;
}

/** Checks all that can be checked without a key; throws as `openSealedFile` does. */
export function checkSealedFile(kind: SealedKind, bytes: Uint8Array, name: string, storeId?: Uint8Array): FileHeader {
  checkFileSum(bytes, name);
  return decodeHeader(bytes, name, { kind: purposes[kind].kind, ...(storeId && { storeId }) });
}

function associatedData(head: Uint8Array, binding: string): Uint8Array {
  return Buffer.concat([head, Buffer.from(binding)]);
}
