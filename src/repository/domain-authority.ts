/** The domain of a repository and its certificate authority: made once, kept in the map store. */

import { type Clock, randomBytesOf, randomId } from '../core/clock.ts';
import { decode, encode } from '../core/codec.ts';
import { digestKeyBytes } from '../core/digest.ts';
import { type CutParameters, type Domain, defaultCutParameters, packDomain, unpackDomain } from '../core/domain.ts';
import { type Authority, createAuthority, createCertificateRequest, issueCertificate } from '../remote/certificates.ts';
import type { Identity } from '../remote/identity.ts';
import { type Member, repositoryName } from '../remote/member.ts';
import { certificateFingerprint } from '../remote/read-certificate.ts';
import type { MapStore } from './map-store.ts';

const settingNames = { domain: 'domain', certificate: 'authority certificate', privateKey: 'authority key' } as const;

export interface DomainAuthority {
  domain: Domain;
  authority: Authority;
  /** SHA-256 of the authority's certificate, 32 bytes. */
  fingerprint: Uint8Array;
}

/** What the store has, or undefined if no repository ever ran on it. @throws CovaultError `E_CORRUPT`. */
export async function loadDomainAuthority(store: MapStore): Promise<DomainAuthority | undefined> {
  const domain = await store.setting(settingNames.domain);
  const certificate = await store.setting(settingNames.certificate);
  const privateKey = await store.setting(settingNames.privateKey);
  if (domain === undefined || certificate === undefined || privateKey === undefined) return undefined;
  const certificatePem = Buffer.from(certificate).toString();
  return {
    domain: unpackDomain(decode(domain, 'domain')),
    authority: { certificatePem, privateKeyPem: Buffer.from(privateKey).toString() },
    fingerprint: certificateFingerprint(certificatePem),
  };
}

/** What the store has; if it has nothing yet, a new domain with these cut parameters. */
export async function loadOrCreateDomainAuthority(
  store: MapStore,
  options: { clock: Clock; cut?: CutParameters | undefined },
): Promise<DomainAuthority> {
  const known = await loadDomainAuthority(store);
  if (known !== undefined) return known;
  const domain: Domain = {
    id: randomId(),
    digestKey: randomBytesOf(digestKeyBytes),
    cut: options.cut ?? defaultCutParameters,
  };
  const authority = await createAuthority(domain.id, options.clock.nowMs());
  await store.putSettings({
    [settingNames.domain]: encode(packDomain(domain)),
    [settingNames.certificate]: Buffer.from(authority.certificatePem),
    [settingNames.privateKey]: Buffer.from(authority.privateKeyPem),
  });
  return { domain, authority, fingerprint: certificateFingerprint(authority.certificatePem) };
}

/** Certifies the key of a request as this member's; PEM. @throws CovaultError `E_BAD_INPUT`. */
export function certify(
  { domain, authority }: DomainAuthority,
  options: { request: Uint8Array; member: Member; clock: Clock },
): Promise<string> {
  const member = { domain: domain.id, name: options.member.name, role: options.member.role };
  return issueCertificate({ authority, request: options.request, member, nowMs: options.clock.nowMs() });
}

/** An identity for the repository itself, with a new key at every start. */
export async function issueOwnIdentity(domainAuthority: DomainAuthority, clock: Clock): Promise<Identity> {
  const member = { name: repositoryName, role: 'repository' } as const;
  const { request, privateKeyPem } = await createCertificateRequest();
  const certificatePem = await certify(domainAuthority, { request, member, clock });
  return { ...member, certificatePem, privateKeyPem, authorityPem: domainAuthority.authority.certificatePem };
}
