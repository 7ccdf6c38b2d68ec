/**
 * The members and their leases, in memory for quick answers and in the map store for good. Only this process changes
 * members and leases, so the two agree.
 */
import type { Clock } from '../core/clock.ts';
import { CovaultError } from '../core/errors.ts';
import { type MemberInfo, revokedPerAnswerMax } from '../remote/repository-messages.ts';
import type { RevokedPart } from '../remote/revocation.ts';
import type { Caller } from '../remote/route.ts';
import type { Lease, MapStore, MemberNumber, MemberRecord } from './map-store.ts';

const revokedSetting = 'revoked certificates';
const fingerprintBytes = 32;

function unpackFingerprints(bytes: Uint8Array): string[] {
  const digits = Buffer.from(bytes).toString('hex');
  return digits.match(new RegExp(`.{${2 * fingerprintBytes}}`, 'g')) ?? [];
}

export class Roster {
  readonly #store: MapStore;
  readonly #clock: Clock;
  readonly #leaseTtlMs: number;
  readonly #byName = new Map<string, MemberRecord>();
  readonly #byNumber = new Map<MemberNumber, MemberRecord>();
  #leases = new Map<MemberNumber, Lease>();
  /** Fingerprints in the order in which they were revoked. */
  #revoked: string[] = [];

  private constructor(store: MapStore, options: { clock: Clock; leaseTtlMs: number }) {
    this.#store = store;
    this.#clock = options.clock;
    this.#leaseTtlMs = options.leaseTtlMs;
  }

  static async load(store: MapStore, options: { clock: Clock; leaseTtlMs: number }): Promise<Roster> {
    const roster = new Roster(store, options);
    for (const member of await store.members()) roster.#remember(member);
    roster.#leases = await store.leases();
    roster.#revoked = unpackFingerprints((await store.setting(revokedSetting)) ?? new Uint8Array(0));
    return roster;
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** @throws CovaultError `E_NOT_FOUND`. */
  named(name: string): MemberRecord {
    const member = this.#byName.get(name);
    if (member === undefined) throw new CovaultError('E_NOT_FOUND', `no member is called ${name.slice(0, 80)}`);
    return member;
  }

  /** @throws CovaultError `E_AUTH` unless the caller's certificate is the one that counts for this member. */
  admit(caller: Caller): void {
    if (this.#byName.get(caller.name)?.fingerprint === caller.fingerprint) return;
    throw new CovaultError('E_AUTH', `the certificate of ${caller.name} is not valid any more`, {
      hint: 'it was replaced or the member was removed: join again with a new token',
    });
  }

  /** Adds a member, or gives a known one its new certificate and role. */
  async enrol(member: Omit<MemberRecord, 'number'>): Promise<void> {
    const before = this.#byName.get(member.name)?.fingerprint;
    if (before !== undefined && before !== member.fingerprint) await this.#revoke(before);
    this.#remember(await this.#store.putMember(member));
  }

  /** @throws CovaultError `E_NOT_FOUND`. */
  async remove(name: string): Promise<void> {
    const { number, fingerprint } = this.named(name);
    await this.#revoke(fingerprint);
    // Refused and not live from now on, while its holdings go.
    this.#byName.delete(name);
    this.#byNumber.delete(number);
    this.#leases.delete(number);
    await this.#store.removeMember(name);
  }

  /** Certificates revoked after the first `count` of the list; from its start if there were never so many. */
  revokedAfter(count: number): RevokedPart {
    const from = count > this.#revoked.length ? 0 : count;
    const fingerprints = this.#revoked.slice(from, from + revokedPerAnswerMax);
    return { fingerprints, upTo: from + fingerprints.length };
  }

  /** Renews the lease; returns how long it lasts, milliseconds. */
  async renew(name: string, request: Pick<Lease, 'url' | 'load' | 'price'>): Promise<number> {
    const { number } = this.named(name);
    const renewedMs = this.#clock.nowMs();
    const lease = { ...request, renewedMs, untilMs: renewedMs + this.#leaseTtlMs };
    this.#leases.set(number, lease);
    await this.#store.putLease(number, lease);
    return this.#leaseTtlMs;
  }

  /** The names of the members that are live at this moment. */
  liveNames(): Map<MemberNumber, string> {
    const live = [...this.#byNumber.values()].filter(({ number }) => this.#isLive(number));
    return new Map(live.map(({ number, name }) => [number, name]));
  }

  /** All members, by name. */
  async list(): Promise<MemberInfo[]> {
    const members = [...this.#byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    return Promise.all(
      members.map(async ({ number, name, role }) => {
        const lease = this.#leases.get(number);
        return {
          name,
          role,
          url: lease?.url,
          live: this.#isLive(number),
          load: lease?.load ?? 0,
          price: lease?.price ?? 1,
          ...(await this.#store.counts(number)),
          seenMs: lease?.renewedMs,
        };
      }),
    );
  }

  /** How many members there are, and how many of them are live. */
  size(): { members: number; live: number } {
    return { members: this.#byName.size, live: this.liveNames().size };
  }

  /** Durable before the certificate stops counting here: peers must never be told less than the repository knows. */
  async #revoke(fingerprint: string): Promise<void> {
    if (this.#revoked.includes(fingerprint)) return;
    this.#revoked.push(fingerprint);
    await this.#store.putSettings({ [revokedSetting]: Buffer.from(this.#revoked.join(''), 'hex') });
  }

  #isLive(number: MemberNumber): boolean {
    return (this.#leases.get(number)?.untilMs ?? 0) > this.#clock.nowMs();
  }

  #remember(member: MemberRecord): void {
    // Without a fingerprint, its removal was interrupted: it counts for nothing, until it is removed or joins again.
    if (member.fingerprint === '') return;
    this.#byName.set(member.name, member);
    this.#byNumber.set(member.number, member);
  }
}
