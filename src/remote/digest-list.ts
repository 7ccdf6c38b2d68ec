/** Lists of digests in messages: their bytes one after the other, 32 each. */
import { type Digest, digestBytes } from '../core/digest.ts';
import { CovaultError } from '../core/errors.ts';
import { asBytes } from '../core/shape.ts';

export function packDigests(digests: readonly Digest[]): Uint8Array {
  return Buffer.concat(digests as Digest[], digests.length * digestBytes);
}

/**
 * The inverse, checked. The digests are views into `value`.
 *
 * @throws CovaultError `E_CORRUPT` if it is not a whole number of digests, at most `digestsMax`.
 */
export function unpackDigests(value: unknown, field: string, digestsMax: number): Digest[] {
  const bytes = asBytes(value, field, digestsMax * digestBytes);
  if (bytes.byteLength % digestBytes !== 0) {
    throw new CovaultError('E_CORRUPT', `${field} is not a whole number of digests`);
  }
  return Array.from({ length: bytes.byteLength / digestBytes }, (_, at) =>
    bytes.subarray(at * digestBytes, (at + 1) * digestBytes),
  );
}
