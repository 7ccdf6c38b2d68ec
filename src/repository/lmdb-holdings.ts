/**
 * The map itself in LMDB: who holds what, both ways round, with counts that are right after every transaction.
 *
 * Invariants: (digest, member) is in `holders` exactly if (member, digest) is in `holdings`; a member's count is the
 * number of its holdings; the count of digests is the number of distinct keys of `holders`. Writers call one at a time
 * (`Exclusive` in the map store), so that what was read is still true when it is written.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Digest } from '../core/digest.ts';
import type { Tables } from './lmdb-tables.ts';
import { decodeCounts, decodeNumber, encodeCounts, encodeNumber } from './map-records.ts';
import type { MemberCounts, MemberNumber } from './map-store.ts';

const prefixBytes = 16;
/** Digests looked up in one turn of the event loop; each may have many holders. */
const lookupsPerTurn = 1024;
/** Digests changed in one turn of the event loop and one transaction: some 20 ms. */
const sliceMax = 4096;
const digestCountKey = Buffer.from('digests');

export class LmdbHoldings {
  readonly #tables: Tables;

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  async holdersOf(digests: readonly Digest[]): Promise<MemberNumber[][]> {
    const answer: MemberNumber[][] = [];
    for (const digest of digests) {
      const numbers: MemberNumber[] = [];
      for (const value of this.#tables.holders.getValues(prefixOf(digest))) numbers.push(value.readUInt32BE(0));
      answer.push(numbers);
      if (answer.length % lookupsPerTurn === 0) await nextTurn();
    }
    return answer;
  }

  digestCount(): number {
    const bytes = this.#tables.counts.get(digestCountKey);
    return bytes === undefined ? 0 : decodeNumber(bytes);
  }

  counts(member: MemberNumber): MemberCounts {
    const bytes = this.#tables.counts.get(memberKey(member));
    return bytes === undefined ? { holdings: 0, missing: 0 } : decodeCounts(bytes);
  }

  /** Adds and removes, in transactions of bounded size; what is in both lists is held afterwards. */
  async change(member: MemberNumber, gained: readonly Digest[], lost: readonly Digest[]): Promise<void> {
    await this.#removeAll(member, lost.map(prefixOf));
    await this.#addAll(member, gained.map(prefixOf));
  }

  /** Removes the digests that the member is said to hold; counts them as missing and returns how many they were. */
  async removeMissing(member: MemberNumber, digests: readonly Digest[]): Promise<number> {
    return this.#removeAll(member, digests.map(prefixOf), { countMissing: true });
  }

  /** Makes the holdings above `after` up to `upTo` equal to `digests`. */
  async replaceRange(
    member: MemberNumber,
    range: { after: Digest | undefined; upTo: Digest | undefined; digests: readonly Digest[] },
  ): Promise<void> {
    const kept = new Set(range.digests.map((digest) => prefixOf(digest).toString('latin1')));
    let after = range.after && prefixOf(range.after);
    const upTo = range.upTo && prefixOf(range.upTo);
    for (;;) {
      const held = this.#held(member, after, upTo);
      const gone = held.filter((prefix) => !kept.has(prefix.toString('latin1')));
      await this.#removeAll(member, gone);
      if (held.length < sliceMax) break;
      after = held.at(-1);
    }
    await this.#addAll(member, range.digests.map(prefixOf));
  }

  /** Removes all holdings and the counts of a member. */
  async removeMember(member: MemberNumber): Promise<void> {
    await this.replaceRange(member, { after: undefined, upTo: undefined, digests: [] });
    await this.#tables.batch(() => this.#tables.counts.remove(memberKey(member)));
  }

  /** Up to `sliceMax` prefixes that the member holds in a range, ascending. */
  #held(member: MemberNumber, after: Buffer | undefined, upTo: Buffer | undefined): Buffer[] {
    const start = holdingKey(member, after ?? Buffer.alloc(0));
    const end = upTo ? holdingKey(member, upTo) : holdingKey(member, Buffer.alloc(prefixBytes, 0xff));
    const held: Buffer[] = [];
    for (const key of this.#tables.holdings.getKeys({ start, limit: sliceMax + 1 })) {
      if (Buffer.compare(key, end) > 0 || held.length === sliceMax) break;
      if (after === undefined || Buffer.compare(key, start) > 0) held.push(Buffer.from(key.subarray(4)));
    }
    return held;
  }

  async #addAll(member: MemberNumber, prefixes: Buffer[]): Promise<void> {
    const { holders, holdings } = this.#tables;
    const number = memberKey(member);
    for (const slice of slices(prefixes)) {
      const added = slice.filter((prefix) => !holdings.doesExist(holdingKey(member, prefix)));
      const digests = added.reduce((sum, prefix) => sum + (holders.doesExist(prefix) ? 0 : 1), 0);
      if (added.length === 0) continue;
      await this.#tables.batch(() => {
        for (const prefix of added) holders.put(prefix, number);
        for (const prefix of added) holdings.put(holdingKey(member, prefix), Buffer.alloc(0));
        this.#putCounts(member, { holdings: added.length, digests, missing: 0 });
      });
    }
  }

  async #removeAll(member: MemberNumber, prefixes: Buffer[], options = { countMissing: false }): Promise<number> {
    const { holders, holdings } = this.#tables;
    const number = memberKey(member);
    let count = 0;
    for (const slice of slices(prefixes)) {
      const removed = slice.filter((prefix) => holdings.doesExist(holdingKey(member, prefix)));
      const digests = removed.reduce((sum, prefix) => sum + (holders.getValuesCount(prefix) === 1 ? 1 : 0), 0);
      if (removed.length === 0) continue;
      await this.#tables.batch(() => {
        for (const prefix of removed) holders.remove(prefix, number);
        for (const prefix of removed) holdings.remove(holdingKey(member, prefix));
        const missing = options.countMissing ? removed.length : 0;
        this.#putCounts(member, { holdings: -removed.length, digests: -digests, missing });
      });
      count += removed.length;
    }
    return count;
  }

  #putCounts(member: MemberNumber, change: { holdings: number; digests: number; missing: number }): void {
    const { holdings, missing } = this.counts(member);
    const counts = { holdings: holdings + change.holdings, missing: missing + change.missing };
    this.#tables.counts.put(memberKey(member), Buffer.from(encodeCounts(counts)));
    this.#tables.counts.put(digestCountKey, Buffer.from(encodeNumber(this.digestCount() + change.digests)));
  }
}

/** The key of a member in the tables of small records, and its value among the holders. */
export function memberKey(member: MemberNumber): Buffer {
  const key = Buffer.alloc(4);
  key.writeUInt32BE(member);
  return key;
}

function holdingKey(member: MemberNumber, prefix: Uint8Array): Buffer {
  return Buffer.concat([memberKey(member), prefix]);
}

function prefixOf(digest: Digest): Buffer {
  return Buffer.from(digest.buffer, digest.byteOffset, prefixBytes);
}

/** Distinct prefixes in ascending order (LMDB writes sorted keys several times faster), cut into slices. */
function* slices(prefixes: Buffer[]): Generator<Buffer[]> {
  const sorted = [...prefixes].sort(Buffer.compare);
  const distinct = sorted.filter((prefix, at) => at === 0 || !prefix.equals(sorted[at - 1] as Buffer));
  for (let at = 0; at < distinct.length; at += sliceMax) yield distinct.slice(at, at + sliceMax);
}
