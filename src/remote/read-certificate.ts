/** Reading certificates of a domain. */
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import type { Identity } from './identity.ts';
import { type CertifiedMember, parseMemberUri } from './member.ts';

/** SHA-256 of a certificate's DER form, 32 bytes: what a join token pins, and what tells two certificates apart. */
export function certificateFingerprint(certificate: string | Uint8Array): Uint8Array {
  const der = typeof certificate === 'string' ? new X509Certificate(certificate).raw : certificate;
  return new Uint8Array(createHash('sha256').update(der).digest());
}

/** Whom a certificate (DER or PEM) names; undefined if it is not of a form that an authority of ours issues. */
export function memberOfCertificate(certificate: string | Uint8Array): CertifiedMember | undefined {
  const names = parseCertificate(certificate)?.subjectAltName;
  return names?.startsWith('URI:') ? parseMemberUri(names.slice('URI:'.length)) : undefined;
}

/** Whether all parts of an identity belong together: certificate, key, authority, name and role, in this domain. */
export function isCertificateOf(identity: Identity, domain: string): boolean {
  const certificate = parseCertificate(identity.certificatePem);
  const authority = parseCertificate(identity.authorityPem);
  const member = memberOfCertificate(identity.certificatePem);
  return (
    certificate !== undefined &&
    authority !== undefined &&
    certificate.verify(authority.publicKey) &&
    certificate.checkPrivateKey(createPrivateKey(identity.privateKeyPem)) &&
    member?.domain === domain &&
    member.name === identity.name &&
    member.role === identity.role
  );
}

/** PEM of a DER certificate. */
export function certificatePem(der: Uint8Array): string {
  return new X509Certificate(der).toString();
}

function parseCertificate(certificate: string | Uint8Array): X509Certificate | undefined {
  try {
    return new X509Certificate(certificate);
  } catch {
    return undefined;
  }
}
