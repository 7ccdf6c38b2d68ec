/** The map store in plain maps: the model that the conformance suite is right about, and a quick store for tests. */
import { type Digest, digestFromKey, digestKey } from '../../src/core/digest.ts';
import type {
  FeedPosition,
  Lease,
  MapStore,
  MemberCounts,
  MemberNumber,
  MemberRecord,
  TokenRecord,
} from '../../src/repository/map-store.ts';

/** Everything a store has; a structured clone of it is a copy of the store. */
export interface MapState {
  settings: Map<string, Uint8Array>;
  members: Map<string, MemberRecord>;
  leases: Map<MemberNumber, Lease>;
  positions: Map<MemberNumber, FeedPosition>;
  missing: Map<MemberNumber, number>;
  held: Map<MemberNumber, Set<string>>;
  tokens: Map<string, TokenRecord>;
  nextNumber: number;
}

export function emptyMapState(): MapState {
  return {
    settings: new Map(),
    members: new Map(),
    leases: new Map(),
    positions: new Map(),
    missing: new Map(),
    held: new Map(),
    tokens: new Map(),
    nextNumber: 1,
  };
}

/** @param state changed in place, at the moment of each call. */
export function createMemoryMapStore(state: MapState = emptyMapState()): MapStore {
  const { settings, members, leases, positions, missing, held, tokens } = state;

  const holdings = (member: MemberNumber): Set<string> => {
    const set = held.get(member) ?? new Set();
    held.set(member, set);
    return set;
  };
  const counts = (member: MemberNumber): MemberCounts => ({
    holdings: holdings(member).size,
    missing: missing.get(member) ?? 0,
  });

  return {
    setting: async (key) => settings.get(key),
    putSettings: async (values) => {
      for (const [key, value] of Object.entries(values)) settings.set(key, value);
    },
    members: async () => [...members.values()].sort((a, b) => (a.name < b.name ? -1 : 1)),
    member: async (name) => members.get(name),
    putMember: async (member) => {
      const number = members.get(member.name)?.number ?? state.nextNumber++;
      const record = { ...member, number };
      members.set(member.name, record);
      return record;
    },
    removeMember: async (name) => {
      const number = members.get(name)?.number;
      if (number === undefined) return;
      for (const table of [leases, positions, missing, held]) table.delete(number);
      members.delete(name);
    },
    counts: async (member) => counts(member),
    leases: async () => new Map(leases),
    putLease: async (member, lease) => void leases.set(member, lease),
    holdersOf: async (digests) => {
      const numbers = [...held.keys()].sort((a, b) => a - b);
      return digests.map((digest) => numbers.filter((number) => holdings(number).has(digestKey(digest))));
    },
    digestCount: async () => new Set([...held.values()].flatMap((set) => [...set])).size,
    position: async (member) => positions.get(member),
    putPosition: async (member, position) => void positions.set(member, position),
    applyChanges: async (member, { gained, lost, position }) => {
      for (const digest of lost) holdings(member).delete(digestKey(digest));
      for (const digest of gained) holdings(member).add(digestKey(digest));
      positions.set(member, position);
    },
    replaceRange: async (member, { after, upTo, digests, position }) => {
      const within = (digest: Digest) =>
        (after === undefined || Buffer.compare(digest, after) > 0) &&
        (upTo === undefined || Buffer.compare(digest, upTo) <= 0);
      for (const key of [...holdings(member)]) if (within(digestFromKey(key))) holdings(member).delete(key);
      for (const digest of digests) holdings(member).add(digestKey(digest));
      positions.set(member, position);
    },
    removeMissing: async (member, digests) => {
      const removed = digests.filter((digest) => holdings(member).delete(digestKey(digest))).length;
      missing.set(member, counts(member).missing + removed);
      return removed;
    },
    putToken: async (hash, token) => void tokens.set(digestKey(hash), token),
    token: async (hash) => tokens.get(digestKey(hash)),
    takeToken: async (hash) => tokens.delete(digestKey(hash)),
    removeExpiredTokens: async (nowMs) => {
      for (const [key, { expiresMs }] of tokens) if (expiresMs <= nowMs) tokens.delete(key);
    },
    storedBytes: async () => 0,
    close: async () => undefined,
  };
}
