/**
 * Encoding of records: msgpack through `msgpackr`, the only import of it. Positional arrays, no shared structures, so
 * that equal values give equal bytes (trees and recipes are named by the digest of their bytes).
 */
import { Packr } from 'msgpackr/pack';
import { encodingFault } from './encoding-check.ts';
import { CovaultError } from './errors.ts';

const packr = new Packr({ useRecords: false, moreTypes: false, variableMapSize: true });

/** The bytes of `value`; the caller owns them. Whole numbers beyond 2^53 must be bigint. */
export function encode(value: unknown): Uint8Array {
  // The packer hands out views into a buffer that it goes on filling; a copy is safe to keep and to transfer.
  return Uint8Array.prototype.slice.call(packr.pack(value));
}

/**
 * The value in `bytes`, untrusted: check its shape before use (`shape.ts`). Binary fields may be views into `bytes`.
 *
 * @param what names the record in the error.
 * @throws CovaultError `E_CORRUPT` if the bytes are not one whole msgpack value.
 */
export function decode(bytes: Uint8Array, what: string): unknown {
  const fault = encodingFault(bytes);
  if (fault !== undefined) throw new CovaultError('E_CORRUPT', `${what} cannot be decoded: ${fault}`);
  try {
    return packr.unpack(bytes);
  } catch (cause) {
    throw new CovaultError('E_CORRUPT', `${what} cannot be decoded`, { cause });
  }
}
