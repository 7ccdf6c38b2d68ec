/** Identities on disk, names of members, and how a certificate says them. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { isCovaultError } from '../../src/core/errors.ts';
import { loadIdentity, saveIdentity } from '../../src/remote/identity.ts';
import { isMemberName, memberUri, parseMemberUri } from '../../src/remote/member.ts';
import { createTestDomain } from './test-domain.ts';

async function temporaryDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'covault-identity-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

test('an identity is read as it was saved, and only its owner may read it', async (t) => {
  const directory = await temporaryDirectory(t);
  const domain = await createTestDomain();
  assert.equal(await loadIdentity(directory), undefined);
  await saveIdentity(directory, await domain.identity('old', 'client'));
  const identity = await domain.identity('laptop', 'secondary');
  await saveIdentity(directory, identity);
  assert.deepEqual(await loadIdentity(directory), identity);
  assert.deepEqual(await readdir(join(directory, 'identity')), ['identity.json']);
  assert.equal((await stat(join(directory, 'identity', 'identity.json'))).mode & 0o777, 0o600);
});

test('a damaged or newer identity is named as such', async (t) => {
  const directory = await temporaryDirectory(t);
  const identity = await (await createTestDomain()).identity('laptop', 'client');
  await saveIdentity(directory, identity);
  const path = join(directory, 'identity', 'identity.json');
  const cases = [
    ['{"version":1', 'E_CORRUPT'],
    ['[]', 'E_CORRUPT'],
    [JSON.stringify({ version: 1, ...identity, role: 'king' }), 'E_CORRUPT'],
    [JSON.stringify({ version: 1, ...identity, privateKeyPem: 7 }), 'E_CORRUPT'],
    [JSON.stringify({ ...identity, version: 2 }), 'E_VERSION'],
  ] as const;
  for (const [text, code] of cases) {
    await writeFile(path, text);
    await assert.rejects(loadIdentity(directory), (error) => isCovaultError(error, code));
  }
});

test('the URI in a certificate says exactly one member', () => {
  const member = { domain: '0123456789abcdef'.repeat(2), role: 'client', name: 'a-1' } as const;
  assert.deepEqual(parseMemberUri(memberUri(member)), member);
  const uri = memberUri(member);
  for (const wrong of [
    '',
    uri.slice(1),
    `${uri}/`,
    `${uri}, URI:x`,
    uri.replace('client', 'king'),
    uri.replace('a-1', 'A'),
    uri.replace('0', 'g'),
  ]) {
    assert.equal(parseMemberUri(wrong), undefined, wrong);
  }
});

test('names are lowercase letters, digits and inner hyphens, 1 to 63', () => {
  for (const name of ['a', '0', 'a-b', 'a--b', 'x'.repeat(63)]) assert.ok(isMemberName(name), name);
  for (const name of ['', '-', 'a-', '-a', 'A', 'ä', 'a.b', 'a/b', 'a b', 'a\n', 'x'.repeat(64)])
    assert.ok(!isMemberName(name), name);
});
