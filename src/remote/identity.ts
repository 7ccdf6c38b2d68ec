/**
 * The identity of a member: its certificate, its private key and the authority it trusts, in one file of the state
 * directory.
 */
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { makeDirectoryDurably, writeFileAtomic } from '../core/atomic-file.ts';
import { CovaultError, systemErrorCode } from '../core/errors.ts';
import { asOneOf, asRecord, asText } from '../core/shape.ts';
import { checkMemberName, type Member, roles } from './member.ts';

export interface Identity extends Member {
  /** This member's certificate, PEM. */
  certificatePem: string;
  /** PKCS#8, PEM. Secret. */
  privateKeyPem: string;
  /** Certificate of the domain's authority, PEM: who is not certified by it is a stranger. */
  authorityPem: string;
}

const pemCharsMax = 16 * 1024;

function identityPath(stateDirectory: string): string {
  return join(stateDirectory, 'identity', 'identity.json');
}

/** Saves durably, readable by the owner alone; what was there is replaced as a whole. */
export async function saveIdentity(stateDirectory: string, identity: Identity): Promise<void> {
  const path = identityPath(stateDirectory);
  await makeDirectoryDurably(dirname(path));
  const text = `${JSON.stringify({ version: 1, ...identity }, undefined, 2)}\n`;
  await writeFileAtomic(path, text, { mode: 0o600 });
}

/**
 * The saved identity, or undefined if this state directory has none (it did not join).
 *
 * @throws CovaultError `E_CORRUPT`, `E_VERSION` or `E_IO`.
 */
export async function loadIdentity(stateDirectory: string): Promise<Identity | undefined> {
  const path = identityPath(stateDirectory);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    if (systemErrorCode(cause) === 'ENOENT') return undefined;
    throw new CovaultError('E_IO', `cannot read the identity ${path}`, { cause });
  }
  return parseIdentity(text, path);
}

function parseIdentity(text: string, path: string): Identity {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new CovaultError('E_CORRUPT', `the identity ${path} is not JSON`, { cause, hint: 'join the domain again' });
  }
  const fields = asRecord(value, 'identity');
  if (fields.version !== 1) {
    throw new CovaultError('E_VERSION', `the identity ${path} has unknown version ${String(fields.version)}`);
  }
  const name = asText(fields.name, 'name of the identity');
  checkMemberName(name);
  return {
    name,
    role: asOneOf(fields.role, 'role', roles),
    certificatePem: asText(fields.certificatePem, 'certificate', pemCharsMax),
    privateKeyPem: asText(fields.privateKeyPem, 'private key', pemCharsMax),
    authorityPem: asText(fields.authorityPem, 'authority', pemCharsMax),
  };
}
