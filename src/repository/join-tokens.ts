/** Making join tokens, also while the repository runs in another process. */
import { existsSync } from 'node:fs';
import { type Clock, randomBytesOf, systemClock } from '../core/clock.ts';
import { CovaultError } from '../core/errors.ts';
import { formatJoinToken, tokenHash, tokenSecretBytes } from '../remote/join-token.ts';
import { checkMemberName, type Role } from '../remote/member.ts';
import { loadDomainAuthority } from './domain-authority.ts';
import { openLmdbMapStore } from './lmdb-map-store.ts';
import { mapDirectory } from './state-directory.ts';

export interface JoinTokenOptions {
  stateDirectory: string;
  role: Exclude<Role, 'repository'>;
  /** The only name that may join with it; needed to let a known member join again. */
  name?: string;
  /** How long it is good, milliseconds; an hour unless told. */
  validMs?: number;
  clock?: Clock;
}

const hourMs = 60 * 60 * 1000;
const validMsMax = 30 * 24 * hourMs;

/**
 * Makes a token that lets one member join once; the repository knows it when this resolves.
 *
 * @returns the line to hand over. It is a secret: only its hash is kept.
 * @throws CovaultError `E_NOT_FOUND` if no repository ever ran there, `E_BAD_INPUT`.
 */
export async function createJoinToken(options: JoinTokenOptions): Promise<string> {
  const { role, name, validMs = hourMs, clock = systemClock } = options;
  if (name !== undefined) checkMemberName(name);
  if (!(validMs > 0 && validMs <= validMsMax)) {
    throw new CovaultError('E_BAD_INPUT', 'a token is good for more than nothing and at most 30 days');
  }
  const directory = mapDirectory(options.stateDirectory);
  // Looking must not make a repository where there is none.
  if (!existsSync(directory)) throw noRepository(options.stateDirectory);
  const store = await openLmdbMapStore(directory);
  try {
    const domainAuthority = await loadDomainAuthority(store);
    if (domainAuthority === undefined) throw noRepository(options.stateDirectory);
    const { fingerprint } = domainAuthority;
    const secret = randomBytesOf(tokenSecretBytes);
    const nowMs = clock.nowMs();
    const expiresMs = Math.round(nowMs + validMs);
    await store.removeExpiredTokens(nowMs);
    await store.putToken(tokenHash(secret), { role, name, expiresMs });
    return formatJoinToken({ secret, fingerprint, role, name, expiresMs });
  } finally {
    await store.close();
  }
}

function noRepository(stateDirectory: string): CovaultError {
  return new CovaultError('E_NOT_FOUND', `there is no repository in ${stateDirectory}`, {
    hint: 'start it once: covault repository',
  });
}
