/** Digests for tests of the map. */
import type { Digest } from '../../src/core/digest.ts';

/** A digest that differs from those of other numbers in its first bytes, and orders as the numbers do. */
export function digestOf(number: number): Digest {
  const digest = Buffer.alloc(32, 7);
  digest.writeUInt32BE(number);
  return digest;
}
