/**
 * What the repository keeps: the global map and all that goes with it, behind one interface, so that another engine can
 * take the place of LMDB. `test/repository/map-store-suite.ts` says what every implementation must do.
 *
 * Whatever a method promises is durable when its promise resolves. Methods may be called concurrently; those that
 * change something take effect one after the other.
 */
import type { Digest } from '../core/digest.ts';
import type { Member, Role } from '../remote/member.ts';

/** Small number that stands for a member in the map; from 1, never used again for another name. */
export type MemberNumber = number;

export interface MemberRecord extends Member {
  number: MemberNumber;
  /** SHA-256 of the one certificate that counts, 64 hexadecimal digits; "" while the member is being removed. */
  fingerprint: string;
  /** When it joined (last), milliseconds since 1970. */
  joinedMs: number;
}

export interface Lease {
  /** Where the member serves. */
  url: string;
  /** Requests that it serves at the moment. */
  load: number;
  /** How many times dearer its bytes are than those of others; 1 if left out. */
  price?: number;
  /** Milliseconds since 1970: when it was last renewed, and when it runs out. */
  renewedMs: number;
  untilMs: number;
}

/** Up to where the map follows one member's feed. */
export type FeedPosition =
  /** All changes of this history up to `sequence` are in the map. */
  | { history: string; sequence: number }
  /**
   * The member is sending all it holds as of `resync.sequence`; digests up to `resync.after` are level, later ones are
   * as they were. Not a position to go on from.
   */
  | { history: string; resync: Resync };

export interface Resync {
  /** 32 hexadecimal digits. */
  id: string;
  sequence: number;
  /** Undefined before the first page. */
  after: Digest | undefined;
}

export interface TokenRecord {
  role: Role;
  /** The only name that may join with it; undefined leaves the choice to who joins. */
  name: string | undefined;
  expiresMs: number;
}

export interface MemberCounts {
  /** Blocks and recipes that the map says it holds. */
  holdings: number;
  /** Entries removed because others reported them missing. */
  missing: number;
}

export interface MapStore {
  /** Undefined for a key that was never put. */
  setting(key: string): Promise<Uint8Array | undefined>;
  /** Puts several settings at once, all or none. */
  putSettings(settings: Readonly<Record<string, Uint8Array>>): Promise<void>;

  /** All members, by name. */
  members(): Promise<MemberRecord[]>;
  member(name: string): Promise<MemberRecord | undefined>;
  /** Adds a member, or replaces everything but the number of the one of that name. */
  putMember(member: Omit<MemberRecord, 'number'>): Promise<MemberRecord>;
  /** Removes the member and all that is kept of it; interrupted, it is safe to repeat. Unknown names do nothing. */
  removeMember(name: string): Promise<void>;
  counts(member: MemberNumber): Promise<MemberCounts>;

  leases(): Promise<Map<MemberNumber, Lease>>;
  putLease(member: MemberNumber, lease: Lease): Promise<void>;

  /** For each digest, in the same order, the numbers of its holders, ascending. */
  holdersOf(digests: readonly Digest[]): Promise<MemberNumber[][]>;
  /** Distinct digests in the map. */
  digestCount(): Promise<number>;
  position(member: MemberNumber): Promise<FeedPosition | undefined>;
  /** Sets the position alone: the beginning of a resync. */
  putPosition(member: MemberNumber, position: FeedPosition): Promise<void>;
  /**
   * Adds and removes holdings, then sets the position. Interrupted, a part of the changes may be in the map, but not
   * the position: doing the same again makes it right. A digest in both lists is held afterwards.
   */
  applyChanges(
    member: MemberNumber,
    changes: { gained: readonly Digest[]; lost: readonly Digest[]; position: FeedPosition },
  ): Promise<void>;
  /**
   * Makes the member's holdings above `after` up to `upTo` equal to `digests`, then sets the position. Interrupted like
   * `applyChanges`.
   *
   * @param range.after exclusive; undefined: from the first.
   * @param range.upTo inclusive; undefined: to the last.
   * @param range.digests within the bounds, in any order.
   */
  replaceRange(
    member: MemberNumber,
    range: { after: Digest | undefined; upTo: Digest | undefined; digests: readonly Digest[]; position: FeedPosition },
  ): Promise<void>;
  /** Removes holdings that others found missing, counts them; returns how many there were. */
  removeMissing(member: MemberNumber, digests: readonly Digest[]): Promise<number>;

  /** @param hash SHA-256 of the token's secret. */
  putToken(hash: Uint8Array, token: TokenRecord): Promise<void>;
  token(hash: Uint8Array): Promise<TokenRecord | undefined>;
  /** Removes the token: true for exactly one of all who try, in any process. */
  takeToken(hash: Uint8Array): Promise<boolean>;
  removeExpiredTokens(nowMs: number): Promise<void>;

  /** Bytes on disk. */
  storedBytes(): Promise<number>;
  /** Waits for what is under way. Idempotent. */
  close(): Promise<void>;
}
