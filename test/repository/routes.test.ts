/** Every route of the repository against malformed requests. */
import type { Role } from '../../src/remote/member.ts';
import { repositoryRoutes } from '../../src/repository/repository.ts';
import type { Roster } from '../../src/repository/roster.ts';
import { hostileRequestSuite } from '../remote/hostile-requests.ts';
import type { Credentials } from '../remote/raw-request.ts';
import { createTestDomain } from '../remote/test-domain.ts';
import { createMemoryMapStore } from './memory-map-store.ts';
import { startTestRepository } from './test-repository.ts';

hostileRequestSuite(async (t) => {
  const repository = await startTestRepository(t);
  const members = new Map<Role, Credentials>();
  for (const role of ['client', 'secondary', 'administrator'] as const) {
    members.set(role, (await repository.join(`a-${role}`, role)).identity);
  }
  const abroad = await createTestDomain();
  const { authorityPem } = members.get('client') as Credentials;
  const foreigner = { ...(await abroad.identity('a-client', 'client')), authorityPem };
  // The table alone: paths, roles, limits and shapes.
  const routes = repositoryRoutes({
    store: createMemoryMapStore(),
    roster: {} as Roster,
    domainAuthority: {
      domain: { id: '', digestKey: new Uint8Array(32), cut: { minBytes: 1, normalBytes: 1, maxBytes: 1 } },
      authority: abroad.authority,
      fingerprint: new Uint8Array(32),
    },
    clock: { nowMs: () => 0, monotonicMs: () => 0 },
  });
  return { url: repository.url, routes, members, foreigner };
});
