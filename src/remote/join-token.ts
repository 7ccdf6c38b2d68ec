/**
 * Join tokens: one line of text that lets one machine into a domain once.
 *
 * Form: `covault1-` and base64url of `[secret, fingerprint, role, name or null, expiresMs]`. Only the secret (32 random
 * bytes) lets in; the fingerprint is that of the domain's authority, so that whoever joins knows the repository to be
 * the right one. Role, name and expiry are for the reader: what counts of them is what the repository noted down.
 */
import { createHash } from 'node:crypto';
import { decode, encode } from '../core/codec.ts';
import { CovaultError } from '../core/errors.ts';
import { asBytes, asCount, asList, asOneOf, asText } from '../core/shape.ts';
import { type Role, roles } from './member.ts';

export interface JoinToken {
  /** 32 bytes. */
  secret: Uint8Array;
  /** SHA-256 of the authority's certificate, 32 bytes. */
  fingerprint: Uint8Array;
  role: Role;
  /** The only name that may join with it, if it was made for one. */
  name: string | undefined;
  /** Milliseconds since 1970. */
  expiresMs: number;
}

export const tokenSecretBytes = 32;
const prefix = 'covault1-';
const fingerprintBytes = 32;

export function formatJoinToken(token: JoinToken): string {
  const fields = [token.secret, token.fingerprint, token.role, token.name ?? null, token.expiresMs];
  return prefix + Buffer.from(encode(fields)).toString('base64url');
}

/** @throws CovaultError `E_BAD_INPUT` if `text` is not a whole token. */
export function parseJoinToken(text: string): JoinToken {
  const trimmed = text.trim();
  if (!trimmed.startsWith(prefix) || trimmed.length > 1024) throw notAToken(undefined);
  try {
    const fields = asList(decode(Buffer.from(trimmed.slice(prefix.length), 'base64url'), 'token'), 'token', 5);
    return {
      secret: exactly(asBytes(fields[0], 'secret'), tokenSecretBytes),
      fingerprint: exactly(asBytes(fields[1], 'fingerprint'), fingerprintBytes),
      role: asOneOf(fields[2], 'role', roles),
      name: fields[3] === null ? undefined : asText(fields[3], 'name'),
      expiresMs: asCount(fields[4], 'expiry'),
    };
  } catch (cause) {
    throw notAToken(cause);
  }
}

/** What the repository keeps of a token instead of its secret. */
export function tokenHash(secret: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(secret).digest());
}

function exactly(bytes: Uint8Array, byteLength: number): Uint8Array {
  if (bytes.byteLength !== byteLength) throw new CovaultError('E_CORRUPT', 'a field of the token has a wrong length');
  return Uint8Array.from(bytes);
}

function notAToken(cause: unknown): CovaultError {
  return new CovaultError('E_BAD_INPUT', 'this is not a whole join token', {
    cause,
    hint: 'copy the whole line that `covault repository` printed',
  });
}
