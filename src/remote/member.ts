/**
 * Members of a domain: their names and roles, and how a certificate says both.
 *
 * A certificate of the domain has exactly one subject alternative name, the URI `covault://DOMAIN/ROLE/NAME`; the
 * subject's common name repeats NAME for people who read it. Host names and addresses play no part.
 */
import { CovaultError } from '../core/errors.ts';
import { limits } from '../core/limits.ts';

export const roles = ['client', 'secondary', 'administrator', 'repository'] as const;
/** What a member may do: each route lists the roles that it answers. */
export type Role = (typeof roles)[number];

/** The one member that is there from the start: the repository itself. */
export const repositoryName = 'repository';

export interface Member {
  /** Unique in the domain. */
  name: string;
  role: Role;
}

/** What the URI of a certificate says. */
export interface CertifiedMember extends Member {
  /** The domain's id, 32 hexadecimal digits. */
  domain: string;
}

const namePattern = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/;
const uriPattern = /^covault:\/\/([0-9a-f]{32})\/([a-z]+)\/([a-z0-9-]+)$/;

export function isMemberName(text: string): boolean {
  return text.length <= limits.peerNameCharsMax && namePattern.test(text);
}

/** @throws CovaultError `E_BAD_INPUT` if `text` cannot be the name of a member. */
export function checkMemberName(text: string): void {
  if (isMemberName(text)) return;
  throw new CovaultError('E_BAD_INPUT', `not a name for a member: ${JSON.stringify(text.slice(0, 80))}`, {
    hint: `use 1 to ${limits.peerNameCharsMax} lowercase letters, digits and hyphens, no hyphen at either end`,
  });
}

export function memberUri(member: CertifiedMember): string {
  return `covault://${member.domain}/${member.role}/${member.name}`;
}

/** The inverse of `memberUri`; undefined for anything else. */
export function parseMemberUri(uri: string): CertifiedMember | undefined {
  const [, domain, role, name] = uriPattern.exec(uri) ?? [];
  const knownRole = roles.find((known) => known === role);
  if (domain === undefined || name === undefined || knownRole === undefined || !isMemberName(name)) return undefined;
  return { domain, role: knownRole, name };
}
