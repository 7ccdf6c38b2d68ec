/** Checks of decoded values: each returns the value with its type or throws `E_CORRUPT` naming the field. */
import { type Digest, digestBytes } from './digest.ts';
import { CovaultError } from './errors.ts';

function wrong(field: string, expected: string): CovaultError {
  return new CovaultError('E_CORRUPT', `${field} is not ${expected}`);
}

export function asBytes(value: unknown, field: string, bytesMax = Number.MAX_SAFE_INTEGER): Uint8Array {
  if (!(value instanceof Uint8Array) || value.byteLength > bytesMax) throw wrong(field, `at most ${bytesMax} bytes`);
  return value;
}

export function asDigest(value: unknown, field: string): Digest {
  if (!(value instanceof Uint8Array) || value.byteLength !== digestBytes) throw wrong(field, 'a digest');
  return value;
}

export function asText(value: unknown, field: string, charsMax = 4096): string {
  if (typeof value !== 'string' || value.length > charsMax)
    throw wrong(field, `a text of at most ${charsMax} characters`);
  return value;
}

/** A whole number from `min` to `max`, both safe integers. */
export function asCount(value: unknown, field: string, max = Number.MAX_SAFE_INTEGER, min = 0): number {
  const number = typeof value === 'bigint' ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < min || number > max) {
    throw wrong(field, `a whole number from ${min} to ${max}`);
  }
  return number;
}

/** A signed 64-bit number. */
export function asInt64(value: unknown, field: string): bigint {
  const big = typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : value;
  if (typeof big !== 'bigint' || BigInt.asIntN(64, big) !== big) throw wrong(field, 'a signed 64-bit number');
  return big;
}

/** An unsigned 64-bit number. */
export function asUint64(value: unknown, field: string): bigint {
  const big = typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : value;
  if (typeof big !== 'bigint' || BigInt.asUintN(64, big) !== big) throw wrong(field, 'an unsigned 64-bit number');
  return big;
}

export function asBoolean(value: unknown, field: string): boolean {
  if (typeof value !== 'boolean') throw wrong(field, 'true or false');
  return value;
}

export function asList(value: unknown, field: string, itemsMax = Number.MAX_SAFE_INTEGER): unknown[] {
  if (!Array.isArray(value) || value.length > itemsMax) throw wrong(field, `a list of at most ${itemsMax} items`);
  return value;
}

export function asRecord(value: unknown, field: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array) {
    throw wrong(field, 'a record');
  }
  return value as Record<string, unknown>;
}

export function asOneOf<T extends string>(value: unknown, field: string, allowed: readonly T[]): T {
  if (typeof value !== 'string' || !(allowed as readonly string[]).includes(value)) {
    throw wrong(field, `one of ${allowed.join(', ')}`);
  }
  return value as T;
}
