/**
 * Digests: what names a block, a recipe or a tree. The only import of the BLAKE3 library.
 *
 * A digest is keyed BLAKE3 over the bytes with the domain's key, 32 bytes. Two domains never share digests, so
 * nobody outside a domain can learn from a digest whether a known file is held.
 */
import { Blake3Hasher } from '@napi-rs/blake-hash';
import { CovaultError } from './errors.ts';

/** 32 bytes. Never modified after it was made; safe to keep. */
export type Digest = Uint8Array;

/** A digest as a 32-character binary (latin1) string: the form used as a key of `Map` and `Set`. */
export type DigestKey = string;

export const digestBytes = 32;

/** Length in bytes of a domain's digest key. */
export const digestKeyBytes = 32;

export interface Digester {
  /** The digest of `data`. Does not keep `data`. */
  digest(data: Uint8Array): Digest;
}

/**
 * A digester for one domain.
 *
 * @param key the domain's digest key, 32 bytes; copied.
 * @throws CovaultError `E_BAD_INPUT` if the key has another length.
 */
export function createDigester(key: Uint8Array): Digester {
  if (key.byteLength !== digestKeyBytes) {
    throw new CovaultError('E_BAD_INPUT', `a digest key has ${digestKeyBytes} bytes, not ${key.byteLength}`);
  }
  // One for all: making one costs as much as the digest of 40 KB.
  const hasher = Blake3Hasher.newKeyed(Buffer.from(key));
  return {
    digest(data) {
      hasher.reset();
      return hasher.update(asBuffer(data)).digestBuffer();
    },
  };
}

/** Derives a 32-byte key for one purpose from secret material (BLAKE3 key derivation mode). */
export function deriveDigestKey(purpose: string, material: Uint8Array): Uint8Array {
  return Blake3Hasher.deriveKey(purpose, asBuffer(material));
}

export function digestKey(digest: Digest): DigestKey {
  return asBuffer(digest).toString('latin1');
}

export function digestFromKey(key: DigestKey): Digest {
  return Buffer.from(key, 'latin1');
}

export function digestHex(digest: Digest): string {
  return asBuffer(digest).toString('hex');
}

/** @throws CovaultError `E_BAD_INPUT` if `hex` is not 64 hexadecimal digits. */
export function digestFromHex(hex: string): Digest {
  if (!/^[0-9a-f]{64}$/.test(hex)) throw new CovaultError('E_BAD_INPUT', `not a digest: ${hex}`);
  return Buffer.from(hex, 'hex');
}

export function isDigest(value: unknown): value is Digest {
  return value instanceof Uint8Array && value.byteLength === digestBytes;
}

export function digestsEqual(a: Digest, b: Digest): boolean {
  return Buffer.compare(a, b) === 0;
}

/** A Buffer over the same memory. */
function asBuffer(data: Uint8Array): Buffer {
  return Buffer.isBuffer(data) ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}
