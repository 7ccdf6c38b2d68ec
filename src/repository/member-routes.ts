/** Routes about the domain and its members. */
import { packDomain } from '../core/domain.ts';
import { checkedOrigin } from '../remote/client.ts';
import type { Role } from '../remote/member.ts';
import {
  type LeaseRequest,
  packLeaseAnswer,
  packMemberInfo,
  type RepositoryStatistics,
  repositoryPaths,
  unpackLeaseRequest,
  unpackMemberName,
} from '../remote/repository-messages.ts';
import { callerOf, parseNothing, type Route, route } from '../remote/route.ts';
import type { DomainAuthority } from './domain-authority.ts';
import type { MapStore } from './map-store.ts';
import type { Roster } from './roster.ts';
import { statusPage } from './status-page.ts';

export interface MemberContext {
  store: MapStore;
  roster: Roster;
  domainAuthority: DomainAuthority;
}

const everyMember: readonly Role[] = ['client', 'secondary', 'administrator'];
const smallBytes = 4 * 1024;

export function memberRoutes(context: MemberContext): Route[] {
  const { roster, domainAuthority } = context;
  const question = (path: string, answer: () => Promise<unknown>): Route =>
    route({
      method: 'POST',
      path,
      roles: everyMember,
      bodyBytesMax: smallBytes,
      parse: parseNothing,
      handle: async () => ({ body: await answer() }),
    });
  return [
    question(repositoryPaths.domain, async () => ({ domain: packDomain(domainAuthority.domain) })),
    question(repositoryPaths.members, async () => ({ members: (await roster.list()).map(packMemberInfo) })),
    question(repositoryPaths.statistics, () => statistics(context)),
    leaseRoute(roster),
    removeRoute(roster),
    pageRoute(context),
  ];
}

function leaseRoute(roster: Roster): Route {
  return route<LeaseRequest>({
    method: 'POST',
    path: repositoryPaths.lease,
    roles: ['client', 'secondary'],
    bodyBytesMax: smallBytes,
    parse: unpackLeaseRequest,
    async handle(call) {
      const { url, load, price = 1, revokedFrom = 0 } = call.body;
      const ttlMs = await roster.renew(callerOf(call).name, { url: checkedOrigin(url), load, price });
      return { body: packLeaseAnswer({ ttlMs, revoked: roster.revokedAfter(revokedFrom) }) };
    },
  });
}

function removeRoute(roster: Roster): Route {
  return route({
    method: 'POST',
    path: repositoryPaths.removeMember,
    roles: ['administrator'],
    bodyBytesMax: smallBytes,
    parse: unpackMemberName,
    async handle({ body }) {
      await roster.remove(body.name);
      return { body: {} };
    },
  });
}

function pageRoute(context: MemberContext): Route {
  return route({
    method: 'GET',
    path: '/',
    roles: ['administrator'],
    bodyBytesMax: 0,
    parse: parseNothing,
    async handle() {
      const page = statusPage({
        domain: context.domainAuthority.domain,
        members: await context.roster.list(),
        statistics: await statistics(context),
      });
      return { text: page, contentType: 'text/html; charset=utf-8' };
    },
  });
}

async function statistics({ store, roster }: MemberContext): Promise<RepositoryStatistics> {
  return { ...roster.size(), digests: await store.digestCount(), storedBytes: await store.storedBytes() };
}
