/**
 * What a member keeps about its domain, in `domain` of its state directory: a msgpack map `{version: 1, domain,
 * repositoryUrl}`, `repositoryUrl` null for a member alone.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '../core/atomic-file.ts';
import { randomBytesOf, randomId } from '../core/clock.ts';
import { decode, encode } from '../core/codec.ts';
import { digestKeyBytes } from '../core/digest.ts';
import { type Domain, defaultCutParameters, packDomain, unpackDomain } from '../core/domain.ts';
import { CovaultError, ioError, systemErrorCode } from '../core/errors.ts';
import { asRecord, asText } from '../core/shape.ts';
import { type Identity, loadIdentity, saveIdentity } from '../remote/identity.ts';

export interface Membership {
  domain: Domain;
  /** Who this member is in the domain, and where the repository is; absent for a member alone. */
  joined?: { identity: Identity; repositoryUrl: string };
}

interface DomainFile {
  domain: Domain;
  repositoryUrl: string | undefined;
}

function domainPath(stateDirectory: string): string {
  return join(stateDirectory, 'domain');
}

/** The membership; a member that has none yet gets a domain of its own. */
export async function loadOrMakeMembership(stateDirectory: string): Promise<Membership> {
  const known = await loadMembership(stateDirectory);
  if (known !== undefined) return known;
  const domain = { id: randomId(), digestKey: randomBytesOf(digestKeyBytes), cut: defaultCutParameters };
  await writeDomainFile(stateDirectory, { domain, repositoryUrl: undefined });
  return { domain };
}

/** Undefined in a state directory that was never used. @throws CovaultError `E_CORRUPT`, `E_VERSION`, `E_IO`. */
export async function loadMembership(stateDirectory: string): Promise<Membership | undefined> {
  const file = await readDomainFile(stateDirectory);
  if (file === undefined) return undefined;
  const { domain, repositoryUrl } = file;
  const identity = await loadIdentity(stateDirectory);
  return identity === undefined || repositoryUrl === undefined
    ? { domain }
    : { domain, joined: { identity, repositoryUrl } };
}

/**
 * The membership of somebody who must have joined.
 *
 * @throws CovaultError `E_BAD_INPUT` if this member has not.
 */
export async function loadJoined(stateDirectory: string): Promise<Required<Membership>> {
  const { domain, joined } = (await loadMembership(stateDirectory)) ?? {};
  if (domain !== undefined && joined !== undefined) return { domain, joined };
  throw new CovaultError('E_BAD_INPUT', `the member with the state directory ${stateDirectory} has joined no domain`, {
    hint: 'join one with `covault join URL --token TOKEN`, or name another state directory with --state',
  });
}

/** Durable when it resolves. The identity is written last: who has one has joined. */
export async function saveJoined(stateDirectory: string, { domain, joined }: Required<Membership>): Promise<void> {
  await writeDomainFile(stateDirectory, { domain, repositoryUrl: joined.repositoryUrl });
  await saveIdentity(stateDirectory, joined.identity);
}

async function writeDomainFile(stateDirectory: string, { domain, repositoryUrl }: DomainFile): Promise<void> {
  const bytes = encode({ version: 1, domain: packDomain(domain), repositoryUrl: repositoryUrl ?? null });
  await writeFileAtomic(domainPath(stateDirectory), bytes, { mode: 0o600 });
}

async function readDomainFile(stateDirectory: string): Promise<DomainFile | undefined> {
  const path = domainPath(stateDirectory);
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw ioError(error, `read ${path}`);
  }
  const fields = asRecord(decode(bytes, path), path);
  if (fields.version !== 1)
    throw new CovaultError('E_VERSION', `${path} has unknown version ${String(fields.version)}`);
  return {
    domain: unpackDomain(fields.domain),
    repositoryUrl: fields.repositoryUrl === null ? undefined : asText(fields.repositoryUrl, 'repository URL'),
  };
}
