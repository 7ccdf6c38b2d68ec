/** A peer refuses revoked certificates as the repository does, also on connections that are open. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openConnection } from '../../src/remote/client.ts';
import { certificateFingerprint } from '../../src/remote/read-certificate.ts';
import { RevokedCertificates } from '../../src/remote/revocation.ts';
import { parseNothing, route } from '../../src/remote/route.ts';
import { startServer } from '../../src/remote/server.ts';
import { createTestDomain } from './test-domain.ts';

test('a certificate is refused from when its revocation is known, and others are not', async (t) => {
  const domain = await createTestDomain();
  const revoked = new RevokedCertificates();
  const hello = route({
    method: 'POST',
    path: '/v1/hello',
    roles: ['client'],
    bodyBytesMax: 64,
    parse: parseNothing,
    handle: async () => ({ body: 'hello' }),
  });
  const server = await startServer({
    identity: await domain.identity('server', 'client'),
    host: '127.0.0.1',
    port: 0,
    routes: [hello],
    admit: (caller) => revoked.admit(caller),
  });
  t.after(() => server.close());
  const lost = await domain.identity('laptop', 'client');
  const anew = await domain.identity('laptop', 'client');
  const [before, after] = [lost, anew].map((identity) => {
    const connection = openConnection({ identity, url: server.url, expect: { name: 'server' } });
    t.after(() => connection.close());
    return connection;
  });
  assert.equal(await before?.call('/v1/hello', undefined), 'hello');
  const fingerprint = Buffer.from(certificateFingerprint(lost.certificatePem)).toString('hex');
  revoked.add({ fingerprints: [fingerprint], upTo: 1 });
  assert.equal(revoked.upTo, 1);
  await assert.rejects(async () => before?.call('/v1/hello', undefined), {
    code: 'E_AUTH',
    message: /laptop was revoked/,
  });
  assert.equal(await after?.call('/v1/hello', undefined), 'hello');
  revoked.add({ fingerprints: [], upTo: 0 });
  await assert.rejects(async () => before?.call('/v1/hello', undefined), { code: 'E_AUTH' }, 'nothing is forgotten');
});
