/** A domain for tests: an authority that certifies any member on the spot, without a repository. */

import { randomId, systemClock } from '../../src/core/clock.ts';
import {
  type Authority,
  createAuthority,
  createCertificateRequest,
  issueCertificate,
} from '../../src/remote/certificates.ts';
import type { Identity } from '../../src/remote/identity.ts';
import type { Role } from '../../src/remote/member.ts';

export interface TestDomain {
  id: string;
  authority: Authority;
  /** A new key and certificate for this name and role. */
  identity(name: string, role: Role): Promise<Identity>;
}

export async function createTestDomain(id = randomId()): Promise<TestDomain> {
  const nowMs = systemClock.nowMs();
  const authority = await createAuthority(id, nowMs);
  return {
    id,
    authority,
    async identity(name, role) {
      const { request, privateKeyPem } = await createCertificateRequest();
      const certificatePem = await issueCertificate({ authority, request, member: { domain: id, name, role }, nowMs });
      return { name, role, certificatePem, privateKeyPem, authorityPem: authority.certificatePem };
    },
  };
}
