/** The one route for strangers: a token and a certificate request against a certificate and the domain. */
import type { Clock } from '../core/clock.ts';
import { packDomain } from '../core/domain.ts';
import { CovaultError } from '../core/errors.ts';
import { tokenHash } from '../remote/join-token.ts';
import { checkMemberName, repositoryName } from '../remote/member.ts';
import { certificateFingerprint } from '../remote/read-certificate.ts';
import { type JoinRequest, repositoryPaths, unpackJoinRequest } from '../remote/repository-messages.ts';
import { type Route, route } from '../remote/route.ts';
import { certify, type DomainAuthority } from './domain-authority.ts';
import { Exclusive } from './exclusive.ts';
import type { MapStore, TokenRecord } from './map-store.ts';
import type { Roster } from './roster.ts';

export interface JoinContext {
  store: MapStore;
  roster: Roster;
  domainAuthority: DomainAuthority;
  clock: Clock;
}

export function joinRoute(context: JoinContext): Route {
  // One at a time: two tokens cannot give the same name twice.
  const joining = new Exclusive();
  return route({
    method: 'POST',
    path: repositoryPaths.join,
    roles: 'anyone',
    bodyBytesMax: 8 * 1024,
    parse: unpackJoinRequest,
    handle: ({ body }) => joining.run(() => join(context, body)),
  });
}

async function join(context: JoinContext, { secret, name, request }: JoinRequest): Promise<{ body: unknown }> {
  const { store, roster, domainAuthority, clock } = context;
  const hash = tokenHash(secret);
  const token = await store.token(hash);
  if (token === undefined || token.expiresMs <= clock.nowMs()) throw badToken();
  checkAllowed(token, name, roster);
  const certificate = await certify(domainAuthority, { request, member: { name, role: token.role }, clock });
  // Last of all that can fail for a reason of the caller, so that a mistake does not cost the token.
  if (!(await store.takeToken(hash))) throw badToken();
  const fingerprint = Buffer.from(certificateFingerprint(certificate)).toString('hex');
  await roster.enrol({ name, role: token.role, fingerprint, joinedMs: clock.nowMs() });
  return { body: { role: token.role, certificate, domain: packDomain(domainAuthority.domain) } };
}

function checkAllowed(token: TokenRecord, name: string, roster: Roster): void {
  checkMemberName(name);
  if (token.name !== undefined && token.name !== name) {
    throw new CovaultError('E_AUTH', `this token is for ${token.name}, not for ${name}`);
  }
  if (name === repositoryName) throw new CovaultError('E_EXISTS', `the name ${name} is the repository's own`);
  if (token.name === undefined && roster.has(name)) {
    throw new CovaultError('E_EXISTS', `the domain has a member called ${name}`, {
      hint: `choose another name, or ask for a token for this one: covault repository invite --name ${name}`,
    });
  }
}

function badToken(): CovaultError {
  return new CovaultError('E_AUTH', 'the token is unknown, used or expired', { hint: 'ask for a new token' });
}
