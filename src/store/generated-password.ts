/**
 * Passwords made by a machine: `covault-key-` and base64url of 32 random bytes and the first 4 of their SHA-256. There are
 * too many to be tried, so a key slot need not make trying expensive (`key-slot.ts`).
 */
import { createHash } from 'node:crypto';
import { randomBytesOf } from '../core/clock.ts';

const prefix = 'covault-key-';
const randomBytes = 32;
const sumBytes = 4;

export function generatePassword(): string {
  const random = randomBytesOf(randomBytes);
  return prefix + Buffer.concat([random, sumOf(random)]).toString('base64url');
}

/** Whether `generatePassword` made it: the sum tells it from anything that somebody thought of. */
export function isGenerated(password: string | Uint8Array): boolean {
  const text = typeof password === 'string' ? password : Buffer.from(password).toString('latin1');
  if (!text.startsWith(prefix)) return false;
  const bytes = Buffer.from(text.slice(prefix.length), 'base64url');
  if (bytes.byteLength !== randomBytes + sumBytes) return false;
  const isExact = text === prefix + bytes.toString('base64url');
  return isExact && bytes.subarray(randomBytes).equals(sumOf(bytes.subarray(0, randomBytes)));
}

function sumOf(random: Uint8Array): Uint8Array {
  return createHash('sha256').update(random).digest().subarray(0, sumBytes);
}
