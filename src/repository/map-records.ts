/** Encoded forms of the small records of the map store; version 1, checked when read. */
import { decode, encode } from '../core/codec.ts';
import { CovaultError } from '../core/errors.ts';
import { asCount, asDigest, asList, asOneOf, asText } from '../core/shape.ts';
import { roles } from '../remote/member.ts';
import { priceMax } from '../remote/repository-messages.ts';
import type { FeedPosition, Lease, MemberCounts, MemberRecord, TokenRecord } from './map-store.ts';

export function encodeMember(member: MemberRecord): Uint8Array {
  return encode([1, member.number, member.name, member.role, member.fingerprint, member.joinedMs]);
}

export function decodeMember(bytes: Uint8Array): MemberRecord {
  const fields = fieldsOf(bytes, 'member');
  return {
    number: asCount(fields[1], 'member number', 0xffff_ffff, 1),
    name: asText(fields[2], 'member name'),
    role: asOneOf(fields[3], 'role', roles),
    fingerprint: asText(fields[4], 'fingerprint', 64),
    joinedMs: asCount(fields[5], 'time of joining'),
  };
}

export function encodeLease(lease: Lease): Uint8Array {
  const price = lease.price === undefined || lease.price === 1 ? [] : [lease.price];
  return encode([1, lease.url, lease.load, lease.renewedMs, lease.untilMs, ...price]);
}

export function decodeLease(bytes: Uint8Array): Lease {
  const fields = fieldsOf(bytes, 'lease');
  return {
    url: asText(fields[1], 'url'),
    load: asCount(fields[2], 'load'),
    renewedMs: asCount(fields[3], 'time of renewal'),
    untilMs: asCount(fields[4], 'end of the lease'),
    ...(fields[5] === undefined ? {} : { price: asCount(fields[5], 'price', priceMax, 1) }),
  };
}

export function encodePosition(position: FeedPosition): Uint8Array {
  if ('sequence' in position) return encode([1, position.history, position.sequence]);
  const { id, sequence, after } = position.resync;
  return encode([1, position.history, [id, sequence, after ?? null]]);
}

export function decodePosition(bytes: Uint8Array): FeedPosition {
  const fields = fieldsOf(bytes, 'feed position');
  const history = asText(fields[1], 'history', 32);
  if (!Array.isArray(fields[2])) return { history, sequence: asCount(fields[2], 'sequence') };
  const [id, sequence, after] = fields[2];
  return {
    history,
    resync: {
      id: asText(id, 'resync', 32),
      sequence: asCount(sequence, 'sequence'),
      after: after === null ? undefined : Uint8Array.from(asDigest(after, 'digest')),
    },
  };
}

export function encodeToken(token: TokenRecord): Uint8Array {
  return encode([1, token.role, token.name ?? null, token.expiresMs]);
}

export function decodeToken(bytes: Uint8Array): TokenRecord {
  const fields = fieldsOf(bytes, 'token');
  return {
    role: asOneOf(fields[1], 'role', roles),
    name: fields[2] === null ? undefined : asText(fields[2], 'name'),
    expiresMs: asCount(fields[3], 'end of the token'),
  };
}

export function encodeCounts(counts: MemberCounts): Uint8Array {
  return encode([1, counts.holdings, counts.missing]);
}

export function decodeCounts(bytes: Uint8Array): MemberCounts {
  const fields = fieldsOf(bytes, 'counts');
  return { holdings: asCount(fields[1], 'holdings'), missing: asCount(fields[2], 'missing') };
}

export function encodeNumber(number: number): Uint8Array {
  return encode([1, number]);
}

export function decodeNumber(bytes: Uint8Array): number {
  return asCount(fieldsOf(bytes, 'number')[1], 'number');
}

function fieldsOf(bytes: Uint8Array, what: string): unknown[] {
  const fields = asList(decode(bytes, what), what, 8);
  if (fields[0] !== 1) throw new CovaultError('E_VERSION', `${what} of unknown version ${String(fields[0])}`);
  return fields;
}
