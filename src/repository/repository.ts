/** The signature repository: the domain's map, its members and its authority, served over HTTPS. */
import { type Clock, systemClock } from '../core/clock.ts';
import type { CutParameters } from '../core/domain.ts';
import type { Route } from '../remote/route.ts';
import { startServer } from '../remote/server.ts';
import { issueOwnIdentity, loadOrCreateDomainAuthority } from './domain-authority.ts';
import { feedRoutes } from './feed-routes.ts';
import { type JoinContext, joinRoute } from './join-route.ts';
import { openLmdbMapStore } from './lmdb-map-store.ts';
import { lookupRoutes } from './lookup-routes.ts';
import { memberRoutes } from './member-routes.ts';
import { Roster } from './roster.ts';
import { mapDirectory } from './state-directory.ts';

export interface RepositoryOptions {
  stateDirectory: string;
  /** Address to listen on. */
  host: string;
  /** 0 takes any free port. */
  port: number;
  /** For a new domain; one that exists keeps its own. */
  cut?: CutParameters;
  /** How long a member counts as live after a renewal, milliseconds. */
  leaseTtlMs?: number;
  clock?: Clock;
  /** Told of every error that is not a CovaultError: a defect. */
  onDefect?(error: unknown, path: string): void;
}

export interface Repository {
  /** "https://HOST:PORT". */
  url: string;
  port: number;
  /** SHA-256 of the authority's certificate, 64 hexadecimal digits. */
  authorityFingerprint: string;
  /** Takes no more requests, lets those under way end, frees the state directory. Idempotent. */
  close(): Promise<void>;
}

const leaseTtlMs = 30_000;

/**
 * Starts the repository of a state directory; a new one gets a new domain.
 *
 * @throws CovaultError `E_BUSY` if one runs there already, `E_UNAVAILABLE` if it cannot listen, `E_CORRUPT`, `E_IO`.
 */
export async function startRepository(options: RepositoryOptions): Promise<Repository> {
  const clock = options.clock ?? systemClock;
  const store = await openLmdbMapStore(mapDirectory(options.stateDirectory));
  try {
    store.claimOwnership();
    const domainAuthority = await loadOrCreateDomainAuthority(store, { clock, cut: options.cut });
    const roster = await Roster.load(store, { clock, leaseTtlMs: options.leaseTtlMs ?? leaseTtlMs });
    const server = await startServer({
      identity: await issueOwnIdentity(domainAuthority, clock),
      host: options.host,
      port: options.port,
      routes: repositoryRoutes({ store, roster, domainAuthority, clock }),
      admit: (caller) => roster.admit(caller),
      ...(options.onDefect === undefined ? {} : { onDefect: options.onDefect }),
    });
    return {
      url: server.url,
      port: server.port,
      authorityFingerprint: Buffer.from(domainAuthority.fingerprint).toString('hex'),
      async close() {
        await server.close();
        await store.close();
      },
    };
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** Everything that a repository answers. */
export function repositoryRoutes(context: JoinContext): Route[] {
  return [joinRoute(context), ...memberRoutes(context), ...feedRoutes(context), ...lookupRoutes(context)];
}
