/**
 * Making certificates of a domain: ECDSA on P-256, signed with SHA-256. The only import of the X.509 library, which
 * takes a tenth of a second to load; whoever only reads certificates does without (`read-certificate.ts`).
 */
import 'reflect-metadata';
import type { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { randomBytesOf } from '../core/clock.ts';
import { CovaultError } from '../core/errors.ts';
import { type CertifiedMember, memberUri } from './member.ts';

/** Who signs a domain's certificates; both PEM, the key PKCS#8 and secret. */
export interface Authority {
  certificatePem: string;
  privateKeyPem: string;
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const dayMs = 24 * 60 * 60 * 1000;
const authorityDays = 30 * 365;
const memberDays = 10 * 365;

/** A new authority, certified by itself. */
export async function createAuthority(domain: string, nowMs: number): Promise<Authority> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    ...lifetime(nowMs, authorityDays),
    serialNumber: newSerialNumber(),
    name: [{ CN: [`Covault domain ${domain}`] }],
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificatePem: pemOf(certificate), privateKeyPem: await exportPrivateKey(keys.privateKey) };
}

/** A fresh key pair and a request for its certificate (PKCS#10, DER); it names nobody, the authority decides. */
export async function createCertificateRequest(): Promise<{ request: Uint8Array; privateKeyPem: string }> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const request = await x509.Pkcs10CertificateRequestGenerator.create({ keys, signingAlgorithm: algorithm });
  return { request: new Uint8Array(request.rawData), privateKeyPem: await exportPrivateKey(keys.privateKey) };
}

/**
 * Certifies the key in `request` as the key of `member`; nothing else in the request counts.
 *
 * @returns the certificate, PEM.
 * @throws CovaultError `E_BAD_INPUT` if the request is malformed, is not signed by its own key, or has another kind of key.
 */
export async function issueCertificate(options: {
  authority: Authority;
  request: Uint8Array;
  member: CertifiedMember;
  nowMs: number;
}): Promise<string> {
  const publicKey = await checkedKey(options.request);
  const issuer = new x509.X509Certificate(options.authority.certificatePem);
  const certificate = await x509.X509CertificateGenerator.create({
    ...lifetime(options.nowMs, memberDays),
    serialNumber: newSerialNumber(),
    subject: [{ CN: [options.member.name] }],
    issuer: issuer.subject,
    publicKey,
    signingKey: await importPrivateKey(options.authority.privateKeyPem),
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth, x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension([{ type: 'url', value: memberUri(options.member) }]),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
    ],
  });
  return pemOf(certificate);
}

async function checkedKey(requestBytes: Uint8Array): Promise<webcrypto.CryptoKey> {
  try {
    const request = new x509.Pkcs10CertificateRequest(new Uint8Array(requestBytes));
    if (!(await request.verify())) throw new Error('its signature is wrong');
    return await request.publicKey.export(algorithm, ['verify']);
  } catch (cause) {
    throw new CovaultError('E_BAD_INPUT', 'the certificate request is not valid', { cause });
  }
}

function lifetime(nowMs: number, days: number): { notBefore: Date; notAfter: Date } {
  // A day back, for members whose clocks are behind.
  return { notBefore: new Date(nowMs - dayMs), notAfter: new Date(nowMs + days * dayMs) };
}

function newSerialNumber(): string {
  const bytes = randomBytesOf(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return Buffer.from(bytes).toString('hex');
}

/** PEM with a final line break, so that PEMs can be put together. */
function pemOf(certificate: x509.X509Certificate): string {
  return `${certificate.toString('pem').trimEnd()}\n`;
}

async function exportPrivateKey(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await crypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY');
}

async function importPrivateKey(pem: string): Promise<webcrypto.CryptoKey> {
  return crypto.subtle.importKey('pkcs8', x509.PemConverter.decodeFirst(pem), algorithm, false, ['sign']);
}
