/**
 * The map store over LMDB. One process serves from it (`claimOwnership`); others may add tokens at the same time.
 */
import { CovaultError } from '../core/errors.ts';
import { Exclusive } from './exclusive.ts';
import { LmdbHoldings, memberKey } from './lmdb-holdings.ts';
import { openTables, type Table } from './lmdb-tables.ts';
import {
  decodeLease,
  decodeMember,
  decodeNumber,
  decodePosition,
  decodeToken,
  encodeLease,
  encodeMember,
  encodeNumber,
  encodePosition,
  encodeToken,
} from './map-records.ts';
import type { MapStore, MemberNumber, MemberRecord } from './map-store.ts';
import { isRunning, ownProcess, type ProcessMark, packProcessMark, unpackProcessMark } from './process-mark.ts';

export interface LmdbMapStore extends MapStore {
  /**
   * Makes this process the one that serves from the store, until it ends or closes the store.
   *
   * @throws CovaultError `E_BUSY` if another living process is.
   */
  claimOwnership(): void;
}

const nextNumberKey = Buffer.from('next member number');
const ownerKey = Buffer.from('owner');

/** Opens or makes the store in `directory`. @throws CovaultError `E_IO`. */
export async function openLmdbMapStore(directory: string): Promise<LmdbMapStore> {
  const tables = await openTables(directory);
  const { members, leases, positions, tokens, settings } = tables;
  const holdings = new LmdbHoldings(tables);
  const writer = new Exclusive();
  let owner: ProcessMark | undefined;
  let closed: Promise<void> | undefined;

  const put = (table: Table, key: Uint8Array, value: Uint8Array) =>
    writer.run(() => tables.batch(() => void table.put(Buffer.from(key), Buffer.from(value))));
  const findMember = (name: string): MemberRecord | undefined => optional(members, Buffer.from(name), decodeMember);

  const close = async () => {
    await writer.idle();
    if (owner !== undefined) await tables.batch(() => void settings.remove(ownerKey));
    await tables.close();
  };

  return {
    setting: async (key) => copied(settings.get(settingKey(key))),
    putSettings: (values) =>
      writer.run(() =>
        tables.batch(() => {
          for (const [key, value] of Object.entries(values)) settings.put(settingKey(key), Buffer.from(value));
        }),
      ),

    members: async () => [...members.getRange({})].map(({ value }) => decodeMember(value)),
    member: async (name) => findMember(name),
    putMember: (member) =>
      writer.run(async () => {
        const next = optional(settings, nextNumberKey, decodeNumber) ?? 1;
        const number = findMember(member.name)?.number ?? next;
        const record = { ...member, number };
        await tables.batch(() => {
          members.put(Buffer.from(member.name), Buffer.from(encodeMember(record)));
          if (number === next) settings.put(nextNumberKey, Buffer.from(encodeNumber(next + 1)));
        });
        return record;
      }),
    removeMember: (name) =>
      writer.run(async () => {
        const member = findMember(name);
        if (member === undefined) return;
        const revoked = encodeMember({ ...member, fingerprint: '' });
        await tables.batch(() => void members.put(Buffer.from(name), Buffer.from(revoked)));
        await holdings.removeMember(member.number);
        await tables.batch(() => {
          for (const table of [leases, positions]) table.remove(memberKey(member.number));
          members.remove(Buffer.from(name));
        });
      }),
    counts: async (member) => holdings.counts(member),

    leases: async () => new Map([...leases.getRange({})].map(({ key, value }) => [numberOf(key), decodeLease(value)])),
    putLease: (member, lease) => put(leases, memberKey(member), encodeLease(lease)),

    holdersOf: (digests) => holdings.holdersOf(digests),
    digestCount: async () => holdings.digestCount(),
    position: async (member) => optional(positions, memberKey(member), decodePosition),
    putPosition: (member, position) => put(positions, memberKey(member), encodePosition(position)),
    applyChanges: (member, { gained, lost, position }) =>
      writer.run(async () => {
        await holdings.change(member, gained, lost);
        await tables.batch(() => void positions.put(memberKey(member), Buffer.from(encodePosition(position))));
      }),
    replaceRange: (member, range) =>
      writer.run(async () => {
        await holdings.replaceRange(member, range);
        await tables.batch(() => void positions.put(memberKey(member), Buffer.from(encodePosition(range.position))));
      }),
    removeMissing: (member, digests) => writer.run(() => holdings.removeMissing(member, digests)),

    putToken: (hash, token) => put(tokens, hash, encodeToken(token)),
    token: async (hash) => optional(tokens, Buffer.from(hash), decodeToken),
    takeToken: (hash) =>
      writer.run(async () =>
        tables.exclusively(() => {
          const found = tokens.doesExist(Buffer.from(hash));
          if (found) tokens.removeSync(Buffer.from(hash));
          return found;
        }),
      ),
    removeExpiredTokens: (nowMs) =>
      writer.run(async () => {
        const expired = [...tokens.getRange({})].filter(({ value }) => decodeToken(value).expiresMs <= nowMs);
        await tables.batch(() => {
          for (const { key } of expired) tokens.remove(Buffer.from(key));
        });
      }),

    storedBytes: () => tables.fileBytes(),
    claimOwnership() {
      const mine = ownProcess();
      tables.exclusively(() => {
        const other = optional(settings, ownerKey, unpackProcessMark);
        if (other !== undefined && isRunning(other)) {
          throw new CovaultError('E_BUSY', `${directory} is in use by process ${other.pid}`, {
            hint: 'stop the repository that runs there, or give this one a state directory of its own',
          });
        }
        settings.putSync(ownerKey, Buffer.from(packProcessMark(mine)));
      });
      owner = mine;
    },
    close() {
      closed ??= close();
      return closed;
    },
  };
}

/** Settings of the interface are apart from the store's own. */
function settingKey(key: string): Buffer {
  return Buffer.from(`setting ${key}`);
}

function numberOf(key: Buffer): MemberNumber {
  return key.readUInt32BE(0);
}

function optional<T>(table: Table, key: Buffer, decode: (bytes: Uint8Array) => T): T | undefined {
  const bytes = table.get(key);
  return bytes === undefined ? undefined : decode(bytes);
}

/** What LMDB hands out may lie in its map; a copy is safe to keep. */
function copied(bytes: Buffer | undefined): Uint8Array | undefined {
  return bytes && Uint8Array.from(bytes);
}
