/** Joining a domain with a token: from nothing but a line of text to an identity. */
import type { Domain } from '../core/domain.ts';
import { CovaultError } from '../core/errors.ts';
import { fetchAuthority } from './authority-probe.ts';
import { createCertificateRequest } from './certificates.ts';
import { openConnection } from './client.ts';
import type { Identity } from './identity.ts';
import { parseJoinToken } from './join-token.ts';
import { checkMemberName } from './member.ts';
import { isCertificateOf } from './read-certificate.ts';
import { repositoryPaths, unpackJoinAnswer } from './repository-messages.ts';

export interface JoinOptions {
  /** Of the repository, "https://HOST:PORT". */
  url: string;
  /** The line that the repository printed. */
  token: string;
  /** What this member will be called in the domain; may be left out if the token was made for one name. */
  name?: string;
  signal?: AbortSignal;
}

/**
 * Joins. The token's fingerprint tells the right repository from any other before the secret is sent; the private key
 * never leaves this machine. Nothing is saved.
 *
 * @throws CovaultError `E_BAD_INPUT` (token, name or address), `E_AUTH` (wrong repository; token used, expired or
 *   unknown), `E_EXISTS` (the name is taken), `E_UNAVAILABLE`, `E_INTERRUPTED`.
 */
export async function join(options: JoinOptions): Promise<{ identity: Identity; domain: Domain }> {
  const token = parseJoinToken(options.token);
  const name = options.name ?? token.name;
  if (name === undefined) throw new CovaultError('E_BAD_INPUT', 'this token needs a name for the new member');
  checkMemberName(name);
  const signal = options.signal === undefined ? {} : { signal: options.signal };
  const authorityPem = await fetchAuthority(options.url, token.fingerprint, signal);
  const { request, privateKeyPem } = await createCertificateRequest();
  const connection = openConnection({
    identity: { authorityPem },
    url: options.url,
    expect: { role: 'repository' },
    connections: 1,
  });
  try {
    const body = { secret: token.secret, name, request };
    const answer = unpackJoinAnswer(await connection.call(repositoryPaths.join, body, signal));
    const identity = { name, role: answer.role, certificatePem: answer.certificate, privateKeyPem, authorityPem };
    if (!isCertificateOf(identity, answer.domain.id)) {
      throw new CovaultError('E_CORRUPT', `${connection.url} answered with a certificate that is not ours`);
    }
    return { identity, domain: answer.domain };
  } finally {
    await connection.close();
  }
}
