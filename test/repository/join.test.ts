/** Joining a domain: tokens, names, certificates, and everything that is refused. */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { type ErrorCode, isCovaultError } from '../../src/core/errors.ts';
import { openConnection } from '../../src/remote/client.ts';
import { loadIdentity, saveIdentity } from '../../src/remote/identity.ts';
import { join } from '../../src/remote/join.ts';
import { formatJoinToken, parseJoinToken } from '../../src/remote/join-token.ts';
import { certificateFingerprint, isCertificateOf } from '../../src/remote/read-certificate.ts';
import { repositoryPaths } from '../../src/remote/repository-messages.ts';
import { createJoinToken } from '../../src/repository/join-tokens.ts';
import { startTestRepository, TestClock, temporaryDirectory } from './test-repository.ts';

const failsWith =
  (code: ErrorCode, message = /./) =>
  (error: unknown) => {
    assert.ok(isCovaultError(error, code), `expected ${code}, got ${String(error)}`);
    assert.match(error.message, message);
    return true;
  };

test('a machine joins with a token and is answered from then on, also after it loaded its identity from disk', async (t) => {
  const repository = await startTestRepository(t);
  const { identity, domain, client } = await repository.join('laptop');
  assert.equal(identity.role, 'client');
  assert.ok(isCertificateOf(identity, domain.id));
  assert.deepEqual(await client.domain(), domain);
  const directory = await temporaryDirectory(t);
  assert.equal(await loadIdentity(directory), undefined);
  await saveIdentity(directory, identity);
  assert.deepEqual(await loadIdentity(directory), identity);
});

test('all members of a domain get the same domain and the role of their token', async (t) => {
  const repository = await startTestRepository(t);
  const laptop = await repository.join('laptop');
  const backup = await repository.join('backup', 'secondary');
  assert.equal(backup.identity.role, 'secondary');
  assert.deepEqual(backup.domain, laptop.domain);
  const peers = await backup.client.peers();
  assert.deepEqual([...peers.keys()], ['backup', 'laptop']);
  assert.equal(peers.get('laptop')?.live, false);
});

test('a token lets one machine in, however many try at once', async (t) => {
  const repository = await startTestRepository(t);
  const token = await repository.token();
  const names = ['one', 'two', 'three', 'four'];
  const outcomes = await Promise.allSettled(names.map((name) => join({ url: repository.url, token, name })));
  assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
  for (const outcome of outcomes) if (outcome.status === 'rejected') failsWith('E_AUTH', /used/)(outcome.reason);
  await assert.rejects(join({ url: repository.url, token, name: 'late' }), failsWith('E_AUTH', /used/));
});

test('an expired token is refused', async (t) => {
  const clock = new TestClock();
  const repository = await startTestRepository(t, { clock });
  const token = await repository.token();
  clock.advance(60 * 60 * 1000);
  await assert.rejects(join({ url: repository.url, token, name: 'laptop' }), failsWith('E_AUTH', /expired/));
});

test('a token with another secret is refused', async (t) => {
  const repository = await startTestRepository(t);
  const token = parseJoinToken(await repository.token());
  const forged = formatJoinToken({ ...token, secret: Buffer.alloc(32, 1) });
  await assert.rejects(join({ url: repository.url, token: forged, name: 'laptop' }), failsWith('E_AUTH'));
});

test('a token of one repository is not shown to another', async (t) => {
  const [right, wrong] = [await startTestRepository(t), await startTestRepository(t)];
  const token = await right.token();
  await assert.rejects(join({ url: wrong.url, token, name: 'laptop' }), failsWith('E_AUTH', /not the repository/));
  await join({ url: right.url, token, name: 'laptop' });
});

test('a mistaken name does not cost the token', async (t) => {
  const repository = await startTestRepository(t);
  await repository.join('laptop');
  const token = await repository.token('client');
  await assert.rejects(join({ url: repository.url, token, name: 'laptop' }), failsWith('E_EXISTS'));
  await assert.rejects(join({ url: repository.url, token, name: 'repository' }), failsWith('E_EXISTS'));
  for (const name of ['', 'Laptop', '-a', 'a-', 'a b', 'é', 'a'.repeat(64), '../x']) {
    await assert.rejects(join({ url: repository.url, token, name }), failsWith('E_BAD_INPUT'));
  }
  await assert.rejects(join({ url: repository.url, token }), failsWith('E_BAD_INPUT', /needs a name/));
  await join({ url: repository.url, token, name: 'a'.repeat(63) });
});

test('a token made for a name serves that name alone, and replaces the certificate of a known member', async (t) => {
  const repository = await startTestRepository(t);
  const old = await repository.join('laptop');
  const token = await repository.token('client', 'laptop');
  await assert.rejects(join({ url: repository.url, token, name: 'other' }), failsWith('E_AUTH', /for laptop/));
  const renewed = await join({ url: repository.url, token });
  assert.equal(renewed.identity.name, 'laptop');
  await assert.rejects(old.client.domain(), failsWith('E_AUTH', /not valid any more/));
  assert.deepEqual(renewed.domain, old.domain);
});

test('a removed member is refused and its name is free again', async (t) => {
  const repository = await startTestRepository(t);
  const laptop = await repository.join('laptop');
  const boss = await repository.join('boss', 'administrator');
  await assert.rejects(laptop.client.removeMember('boss'), failsWith('E_AUTH', /may not/));
  await boss.client.removeMember('laptop');
  await assert.rejects(boss.client.removeMember('laptop'), failsWith('E_NOT_FOUND'));
  await assert.rejects(laptop.client.domain(), failsWith('E_AUTH'));
  await repository.restart();
  await assert.rejects(laptop.client.domain(), failsWith('E_AUTH'));
  await repository.join('laptop');
});

test('the join route takes no request that is not signed by its own key', async (t) => {
  const repository = await startTestRepository(t);
  const { identity } = await repository.join('laptop');
  const { secret } = parseJoinToken(await repository.token());
  const connection = openConnection({
    identity: { authorityPem: identity.authorityPem },
    url: repository.url,
    expect: { role: 'repository' },
  });
  t.after(() => connection.close());
  for (const request of [Buffer.alloc(0), Buffer.from('nonsense'), Buffer.alloc(4096, 0x30)]) {
    const body = { secret, name: 'other', request };
    await assert.rejects(connection.call(repositoryPaths.join, body), failsWith('E_BAD_INPUT', /request/));
  }
});

test('damaged token texts are bad input', async (t) => {
  const repository = await startTestRepository(t);
  const token = await repository.token();
  for (const text of ['', 'covault1-', token.slice(0, -2), token.slice(1), `${token}AAAA`, 'x'.repeat(5000)]) {
    assert.throws(() => parseJoinToken(text), failsWith('E_BAD_INPUT'));
  }
  assert.equal(parseJoinToken(`  ${token}\n`).role, 'client');
});

test('no token is made where no repository ever ran', async (t) => {
  const stateDirectory = await temporaryDirectory(t);
  await assert.rejects(createJoinToken({ stateDirectory, role: 'client' }), failsWith('E_NOT_FOUND'));
  assert.deepEqual(await readdir(stateDirectory), []);
});

test('replaced certificates and those of removed members are told to all who renew a lease, also after a restart', async (t) => {
  const repository = await startTestRepository(t);
  const desktop = await repository.join('desktop');
  const lost = await repository.join('laptop');
  const boss = await repository.join('boss', 'administrator');
  const fingerprintOf = ({ identity }: { identity: { certificatePem: string } }) =>
    Buffer.from(certificateFingerprint(identity.certificatePem)).toString('hex');
  const renew = (revokedFrom?: number) =>
    desktop.client.renewLease({
      url: 'https://127.0.0.1:1',
      load: 0,
      ...(revokedFrom === undefined ? {} : { revokedFrom }),
    });
  assert.deepEqual((await renew()).revoked, { fingerprints: [], upTo: 0 });
  const token = await repository.token('client', 'laptop');
  const again = await join({ url: repository.url, token, name: 'laptop' });
  assert.deepEqual((await renew(0)).revoked, { fingerprints: [fingerprintOf(lost)], upTo: 1 });
  await boss.client.removeMember('laptop');
  const both = [fingerprintOf(lost), fingerprintOf({ identity: again.identity })];
  assert.deepEqual((await renew(1)).revoked, { fingerprints: [both[1]], upTo: 2 });
  await repository.restart();
  assert.deepEqual((await renew()).revoked, { fingerprints: both, upTo: 2 });
  assert.deepEqual((await renew(2)).revoked, { fingerprints: [], upTo: 2 });
  // Of another state of the repository, of which the caller knew more.
  assert.deepEqual((await renew(9)).revoked, { fingerprints: both, upTo: 2 });
});
