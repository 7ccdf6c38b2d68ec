/** The repository as a member sees it: one method for each route, answers checked. */
import type { Digest } from '../core/digest.ts';
import { type Domain, unpackDomain } from '../core/domain.ts';
import { limits } from '../core/limits.ts';
import type { HolderLookup } from '../core/ports.ts';
import { asCount, asRecord } from '../core/shape.ts';
import { type CallOptions, type Connection, openConnection } from './client.ts';
import { packDigests } from './digest-list.ts';
import { unpackHolderRuns } from './holder-runs.ts';
import type { Identity } from './identity.ts';
import {
  type ChangesRequest,
  type KnownPosition,
  type LeaseAnswer,
  type LeaseRequest,
  type MemberInfo,
  type RepositoryStatistics,
  type ResyncBegin,
  type ResyncPage,
  repositoryPaths,
  unpackChangesAnswer,
  unpackLeaseAnswer,
  unpackMembersAnswer,
  unpackPositionAnswer,
  unpackResyncId,
  unpackStatistics,
} from './repository-messages.ts';

/** Every method may throw what `Connection.call` throws. */
export class RepositoryClient implements HolderLookup {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  get url(): string {
    return this.#connection.url;
  }

  /** Lookups of any length, sent in requests of bounded size. */
  async holdersOf(digests: readonly Digest[], options: { signal?: AbortSignal } = {}): Promise<string[][]> {
    const holders: string[][] = [];
    for (const part of parts(digests)) {
      const answer = await this.#call(repositoryPaths.holders, { digests: packDigests(part) }, options);
      for (const list of unpackHolderRuns(answer, part.length)) holders.push(list);
    }
    return holders;
  }

  async reportMissing(peer: string, digests: readonly Digest[], options: CallOptions = {}): Promise<void> {
    for (const part of parts(digests)) {
      await this.#call(repositoryPaths.missing, { peer, digests: packDigests(part) }, options);
    }
  }

  /** All members by name, those that are not live included. */
  async peers(options: CallOptions = {}): Promise<Map<string, MemberInfo>> {
    const members = unpackMembersAnswer(await this.#call(repositoryPaths.members, {}, options));
    return new Map(members.map((member) => [member.name, member]));
  }

  async domain(options: CallOptions = {}): Promise<Domain> {
    return unpackDomain(asRecord(await this.#call(repositoryPaths.domain, {}, options), 'answer').domain);
  }

  async statistics(options: CallOptions = {}): Promise<RepositoryStatistics> {
    return unpackStatistics(await this.#call(repositoryPaths.statistics, {}, options));
  }

  /** Removes a member and its holdings; its certificate is refused from then on. For administrators. */
  async removeMember(name: string, options: CallOptions = {}): Promise<void> {
    await this.#call(repositoryPaths.removeMember, { name }, { timeoutMs: 300_000, ...options });
  }

  async renewLease(lease: LeaseRequest, options: CallOptions = {}): Promise<LeaseAnswer> {
    return unpackLeaseAnswer(await this.#call(repositoryPaths.lease, { ...lease }, options));
  }

  async feedPosition(options: CallOptions = {}): Promise<KnownPosition> {
    return unpackPositionAnswer(await this.#call(repositoryPaths.feedPosition, {}, options));
  }

  /** The sequence acknowledged now, or undefined if the changes do not follow on what the repository has. */
  async sendChanges(changes: ChangesRequest, options: CallOptions = {}): Promise<number | undefined> {
    const body = { ...changes, gained: packDigests(changes.gained), lost: packDigests(changes.lost) };
    return unpackChangesAnswer(await this.#call(repositoryPaths.feedChanges, body, options)).sequence;
  }

  /** Begins to send all that is held; returns the name of the resync. */
  async beginResync(begin: ResyncBegin, options: CallOptions = {}): Promise<string> {
    return unpackResyncId(await this.#call(repositoryPaths.resyncBegin, { ...begin }, options)).resync;
  }

  /** Sending the same page again is harmless. */
  async sendPage(page: ResyncPage, options: CallOptions = {}): Promise<void> {
    const body = { resync: page.resync, after: page.after ?? null, digests: packDigests(page.digests) };
    await this.#call(repositoryPaths.resyncPage, body, options);
  }

  /** Returns the sequence acknowledged now. */
  async finishResync(resync: string, options: CallOptions = {}): Promise<number> {
    const answer = await this.#call(repositoryPaths.resyncFinish, { resync }, { timeoutMs: 300_000, ...options });
    return asCount(asRecord(answer, 'answer').sequence, 'sequence');
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }

  async #call(path: string, body: unknown, options: CallOptions): Promise<unknown> {
    return this.#connection.call(path, body, options);
  }
}

/** Nothing is sent before the first call. @throws CovaultError `E_BAD_INPUT` if `url` is not one. */
export function openRepositoryClient(options: { identity: Identity; url: string }): RepositoryClient {
  return new RepositoryClient(openConnection({ ...options, expect: { role: 'repository' } }));
}

function* parts(digests: readonly Digest[]): Generator<readonly Digest[]> {
  for (let at = 0; at < digests.length; at += limits.digestsPerRequestMax) {
    yield digests.slice(at, at + limits.digestsPerRequestMax);
  }
}
