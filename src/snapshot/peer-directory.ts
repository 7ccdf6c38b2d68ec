/**
 * Where other members are, how much they have to do and what they cost, as the repository said last. Kept for a run, so
 * that a repository that is away for a moment does not make peers unreachable who are well.
 */
import { CovaultError } from '../core/errors.ts';
import type { CallOptions } from '../remote/client.ts';
import type { MemberInfo } from '../remote/repository-messages.ts';
import { mayPass } from './persist.ts';

/** What the plan takes into account of a peer, besides its speed. */
export type PeerState = Pick<MemberInfo, 'load' | 'price'>;

/** Longer than this nobody waits for a newer address than the one that is known, milliseconds. */
const refreshMs = 2_000;

export class PeerDirectory {
  readonly #ask: (options: CallOptions) => Promise<ReadonlyMap<string, MemberInfo>>;
  #known: ReadonlyMap<string, MemberInfo> = new Map();
  /** Whose address was given out since the repository was asked. */
  readonly #given = new Set<string>();

  /** @param ask all members by name: `RepositoryClient.peers`. */
  constructor(ask: (options: CallOptions) => Promise<ReadonlyMap<string, MemberInfo>>) {
    this.#ask = ask;
  }

  /** Asks the repository. @throws CovaultError what asking throws. */
  async refresh(options: CallOptions = {}): Promise<ReadonlyMap<string, MemberInfo>> {
    this.#known = await this.#ask(options);
    this.#given.clear();
    return this.#known;
  }

  /**
   * Where `peer` serves. Who asks for it again lost the connection: the peer may have moved, and the repository is asked
   * anew; if that cannot be, what was known has to do.
   *
   * @throws CovaultError `E_UNAVAILABLE` if nobody knows; what asking throws.
   */
  async urlOf(peer: string): Promise<string> {
    const known = this.#known.get(peer)?.url;
    if (known === undefined || this.#given.has(peer)) {
      try {
        await this.refresh(known === undefined ? {} : { timeoutMs: refreshMs });
      } catch (error) {
        if (known === undefined || !mayPass(error)) throw error;
      }
    }
    this.#given.add(peer);
    const url = this.#known.get(peer)?.url;
    if (url !== undefined) return url;
    throw new CovaultError('E_UNAVAILABLE', `the repository does not know where ${peer} is`, {
      hint: `is it mounted? \`covault status\` on ${peer} tells`,
    });
  }
}
