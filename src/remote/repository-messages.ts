/**
 * Messages between members and the repository: the paths, and for each message its type and its checked decoding.
 * Requests and answers are maps; lists of digests are packed bytes (`digest-list.ts`).
 */
import type { Digest } from '../core/digest.ts';
import { type Domain, unpackDomain } from '../core/domain.ts';
import { CovaultError } from '../core/errors.ts';
import { limits } from '../core/limits.ts';
import { asBoolean, asBytes, asCount, asDigest, asList, asOneOf, asRecord, asText } from '../core/shape.ts';
import { unpackDigests } from './digest-list.ts';
import { tokenSecretBytes } from './join-token.ts';
import { type Role, roles } from './member.ts';
import type { RevokedPart } from './revocation.ts';

export const repositoryPaths = {
  join: '/v1/join',
  domain: '/v1/domain',
  lease: '/v1/lease',
  feedPosition: '/v1/feed/position',
  feedChanges: '/v1/feed/changes',
  resyncBegin: '/v1/feed/resync/begin',
  resyncPage: '/v1/feed/resync/page',
  resyncFinish: '/v1/feed/resync/finish',
  holders: '/v1/holders',
  missing: '/v1/missing',
  members: '/v1/members',
  removeMember: '/v1/members/remove',
  statistics: '/v1/statistics',
} as const;

const urlCharsMax = 300;
export const priceMax = 1000;
const idChars = 32;

export interface JoinRequest {
  /** The secret of the token. */
  secret: Uint8Array;
  name: string;
  /** PKCS#10, DER. */
  request: Uint8Array;
}

export function unpackJoinRequest(value: unknown): JoinRequest {
  const fields = asRecord(value, 'join request');
  return {
    secret: asBytes(fields.secret, 'secret', tokenSecretBytes),
    name: asText(fields.name, 'name', 256),
    request: asBytes(fields.request, 'certificate request', 4096),
  };
}

export interface JoinAnswer {
  role: Role;
  /** PEM. */
  certificate: string;
  domain: Domain;
}

export function unpackJoinAnswer(value: unknown): JoinAnswer {
  const fields = asRecord(value, 'answer');
  return {
    role: asOneOf(fields.role, 'role', roles),
    certificate: asText(fields.certificate, 'certificate', 16 * 1024),
    domain: unpackDomain(fields.domain),
  };
}

export interface LeaseRequest {
  /** Where the member serves: "https://HOST:PORT". */
  url: string;
  /** Requests that it serves at the moment. */
  load: number;
  /** How many times dearer its bytes are than those of others, 1 to `priceMax`; 1 if left out. */
  price?: number;
  /** How much of the list of revoked certificates it knows; 0 if left out. */
  revokedFrom?: number;
}

export function unpackLeaseRequest(value: unknown): LeaseRequest {
  const fields = asRecord(value, 'lease');
  const { revokedFrom = 0, price = 1 } = fields;
  return {
    url: asText(fields.url, 'url', urlCharsMax),
    load: asCount(fields.load, 'load', 1_000_000),
    price: asCount(price, 'price', priceMax, 1),
    revokedFrom: asCount(revokedFrom, 'revokedFrom'),
  };
}

/** How long the lease lasts from now, and which certificates are revoked beyond those known. */
export interface LeaseAnswer {
  ttlMs: number;
  revoked: RevokedPart;
}

/** Revoked certificates in one answer; more come with the next. */
export const revokedPerAnswerMax = 4096;

export function packLeaseAnswer({ ttlMs, revoked }: LeaseAnswer): Record<string, unknown> {
  return { ttlMs, revoked: Buffer.from(revoked.fingerprints.join(''), 'hex'), revokedTo: revoked.upTo };
}

/** A repository that does not know of revocation leaves it out. */
export function unpackLeaseAnswer(value: unknown): LeaseAnswer {
  const fields = asRecord(value, 'answer');
  const { revoked = new Uint8Array(0), revokedTo = 0 } = fields;
  const fingerprints = unpackDigests(revoked, 'revoked', revokedPerAnswerMax);
  return {
    ttlMs: asCount(fields.ttlMs, 'ttlMs', 24 * 60 * 60 * 1000, 1),
    revoked: {
      fingerprints: fingerprints.map((bytes) => Buffer.from(bytes).toString('hex')),
      upTo: asCount(revokedTo, 'revokedTo'),
    },
  };
}

/** Up to where the repository follows the feed; undefined when it knows nothing to go on from. */
export type KnownPosition = { history: string; sequence: number } | undefined;

export function unpackPositionAnswer(value: unknown): KnownPosition {
  const fields = asRecord(value, 'answer');
  if (fields.history === null) return undefined;
  return { history: asText(fields.history, 'history', idChars), sequence: asCount(fields.sequence, 'sequence') };
}

/** Changes of `history` above `from` up to `to`. */
export interface ChangesRequest {
  history: string;
  from: number;
  to: number;
  gained: Digest[];
  lost: Digest[];
}

export function unpackChangesRequest(value: unknown): ChangesRequest {
  const fields = asRecord(value, 'changes');
  const from = asCount(fields.from, 'from');
  const gained = unpackDigests(fields.gained, 'gained', limits.digestsPerRequestMax);
  const room = limits.digestsPerRequestMax - gained.length;
  return {
    history: asText(fields.history, 'history', idChars),
    from,
    to: asCount(fields.to, 'to', Number.MAX_SAFE_INTEGER, from),
    gained,
    lost: unpackDigests(fields.lost, 'lost', room),
  };
}

export interface ResyncBegin {
  history: string;
  /** The moment whose holdings will be sent. */
  sequence: number;
}

export function unpackResyncBegin(value: unknown): ResyncBegin {
  const fields = asRecord(value, 'resync');
  return { history: asText(fields.history, 'history', idChars), sequence: asCount(fields.sequence, 'sequence') };
}

export function unpackResyncId(value: unknown): { resync: string } {
  return { resync: asText(asRecord(value, 'resync').resync, 'resync', idChars) };
}

/** One page of all that is held. */
export interface ResyncPage {
  resync: string;
  /** The last digest of the page before, undefined for the first page. */
  after: Digest | undefined;
  /** At least one; ascending, all above `after`. */
  digests: Digest[];
}

export function unpackResyncPage(value: unknown): ResyncPage {
  const fields = asRecord(value, 'page');
  const after = fields.after === null ? undefined : asDigest(fields.after, 'after');
  const digests = unpackDigests(fields.digests, 'digests', limits.digestsPerRequestMax);
  if (digests.length === 0) throw new CovaultError('E_CORRUPT', 'the page is empty');
  for (const [at, digest] of digests.entries()) {
    const before = at === 0 ? after : digests[at - 1];
    if (before && Buffer.compare(before, digest) >= 0) {
      throw new CovaultError('E_CORRUPT', 'the digests of the page do not ascend');
    }
  }
  return { ...unpackResyncId(fields), after, digests };
}

export function unpackHoldersRequest(value: unknown): { digests: Digest[] } {
  const fields = asRecord(value, 'lookup');
  return { digests: unpackDigests(fields.digests, 'digests', limits.digestsPerRequestMax) };
}

/** `peer` did not have these blocks when it was asked for them. */
export interface MissingRequest {
  peer: string;
  digests: Digest[];
}

export function unpackMissingRequest(value: unknown): MissingRequest {
  const fields = asRecord(value, 'report');
  return {
    peer: asText(fields.peer, 'peer', limits.peerNameCharsMax),
    digests: unpackDigests(fields.digests, 'digests', limits.digestsPerRequestMax),
  };
}

export function unpackMemberName(value: unknown): { name: string } {
  return { name: asText(asRecord(value, 'request').name, 'name', limits.peerNameCharsMax) };
}

/** `sequence`: what is acknowledged now; undefined if the changes do not follow on what the repository has. */
export function unpackChangesAnswer(value: unknown): { sequence: number | undefined } {
  const { sequence } = asRecord(value, 'answer');
  return { sequence: sequence === null ? undefined : asCount(sequence, 'sequence') };
}

/** One member as others see it. */
export interface MemberInfo {
  name: string;
  role: Role;
  /** Where it served last; undefined if it never did. */
  url: string | undefined;
  /** Whether its lease holds. */
  live: boolean;
  load: number;
  /** How many times dearer its bytes are than those of others. */
  price: number;
  holdings: number;
  /** Holdings that others found missing. */
  missing: number;
  /** When it renewed its lease last, milliseconds since 1970; undefined if it never did. */
  seenMs: number | undefined;
}

export function packMemberInfo(member: MemberInfo): unknown {
  return { ...member, url: member.url ?? null, seenMs: member.seenMs ?? null };
}

export function unpackMembersAnswer(value: unknown): MemberInfo[] {
  return asList(asRecord(value, 'answer').members, 'members').map((item) => {
    const fields = asRecord(item, 'member');
    return {
      name: asText(fields.name, 'name', limits.peerNameCharsMax),
      role: asOneOf(fields.role, 'role', roles),
      url: fields.url === null ? undefined : asText(fields.url, 'url', urlCharsMax),
      live: asBoolean(fields.live, 'live'),
      load: asCount(fields.load, 'load'),
      price: asCount(fields.price ?? 1, 'price', priceMax, 1),
      holdings: asCount(fields.holdings, 'holdings'),
      missing: asCount(fields.missing, 'missing'),
      seenMs: fields.seenMs === null ? undefined : asCount(fields.seenMs, 'seenMs'),
    };
  });
}

export interface RepositoryStatistics {
  members: number;
  live: number;
  /** Distinct blocks and recipes in the map. */
  digests: number;
  /** Bytes of the repository's tables on disk. */
  storedBytes: number;
}

export function unpackStatistics(value: unknown): RepositoryStatistics {
  const fields = asRecord(value, 'statistics');
  return {
    members: asCount(fields.members, 'members'),
    live: asCount(fields.live, 'live'),
    digests: asCount(fields.digests, 'digests'),
    storedBytes: asCount(fields.storedBytes, 'storedBytes'),
  };
}
