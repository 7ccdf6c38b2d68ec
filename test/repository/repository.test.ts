/** The repository as a whole: crashes, ownership, leases, corrections, the status page. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:https';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ErrorCode, isCovaultError } from '../../src/core/errors.ts';
import type { Identity } from '../../src/remote/identity.ts';
import { join } from '../../src/remote/join.ts';
import { LeaseRenewal } from '../../src/remote/lease-renewal.ts';
import { openRepositoryClient } from '../../src/remote/repository-client.ts';
import { createJoinToken } from '../../src/repository/join-tokens.ts';
import { startRepository } from '../../src/repository/repository.ts';
import { rawRequest } from '../remote/raw-request.ts';
import { digestOf } from './digest-of.ts';
import { startTestRepository, TestClock, temporaryDirectory } from './test-repository.ts';

const failsWith = (code: ErrorCode) => (error: unknown) => {
  assert.ok(isCovaultError(error, code), `expected ${code}, got ${String(error)}`);
  return true;
};

const history = 'a'.repeat(32);
const url = 'https://127.0.0.1:9';

/** A repository in a process of its own. */
async function spawnRepository(t: TestContext, stateDirectory: string) {
  const program = new URL('./repository-process.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [program, stateDirectory], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  return { child, url: line };
}

test('what was acknowledged survives kill -9', { timeout: 60_000 }, async (t) => {
  const stateDirectory = await temporaryDirectory(t);
  const first = await spawnRepository(t, stateDirectory);
  const token = await createJoinToken({ stateDirectory, role: 'client' });
  const unused = await createJoinToken({ stateDirectory, role: 'secondary' });
  const { identity, domain } = await join({ url: first.url, token, name: 'laptop' });
  const client = openRepositoryClient({ identity, url: first.url });
  t.after(() => client.close());
  await client.renewLease({ url, load: 2 });
  await client.finishResync(await client.beginResync({ history, sequence: 0 }));
  let acknowledged = 0;
  // Killed while changes keep coming: the answer to the last of them may be lost.
  const killed = (async () => {
    while (acknowledged < 30) await sleep(1);
    first.child.kill('SIGKILL');
  })();
  await assert.rejects(async () => {
    for (let n = 1; ; n += 1) {
      const gained = Array.from({ length: 50 }, (_, i) => digestOf(n * 50 + i));
      acknowledged = (await client.sendChanges({ history, from: n - 1, to: n, gained, lost: [] })) ?? -1;
    }
  }, failsWith('E_UNAVAILABLE'));
  await killed;

  const second = await spawnRepository(t, stateDirectory);
  const again = openRepositoryClient({ identity, url: second.url });
  t.after(() => again.close());
  const position = await again.feedPosition();
  assert.equal(position?.history, history);
  assert.ok(position.sequence === acknowledged || position.sequence === acknowledged + 1);
  const digests = Array.from({ length: acknowledged * 50 }, (_, i) => digestOf(50 + i));
  const holders = await again.holdersOf(digests);
  assert.ok(holders.every(([name]) => name === 'laptop'));
  assert.equal((await again.peers()).get('laptop')?.url, url);
  assert.deepEqual(await again.domain(), domain);
  await assert.rejects(join({ url: second.url, token, name: 'other' }), failsWith('E_AUTH'));
  assert.equal((await join({ url: second.url, token: unused, name: 'other' })).identity.role, 'secondary');
});

test('one repository at a time serves from a state directory, also among processes', { timeout: 60_000 }, async (t) => {
  const stateDirectory = await temporaryDirectory(t);
  const { child } = await spawnRepository(t, stateDirectory);
  const options = { stateDirectory, host: '127.0.0.1', port: 0 };
  await assert.rejects(startRepository(options), failsWith('E_BUSY'));
  child.kill('SIGKILL');
  await once(child, 'exit');
  const repository = await startRepository(options);
  await assert.rejects(startRepository(options), failsWith('E_BUSY'));
  await repository.close();
  await repository.close();
  const next = await startRepository(options);
  await next.close();
});

test('a member is live as long as its lease holds', async (t) => {
  const clock = new TestClock();
  const repository = await startTestRepository(t, { clock, leaseTtlMs: 30_000 });
  const { client } = await repository.join('laptop');
  await client.finishResync(await client.beginResync({ history, sequence: 0 }));
  await client.sendChanges({ history, from: 0, to: 1, gained: [digestOf(1)], lost: [] });
  const seen = async () => {
    const live = (await client.peers()).get('laptop')?.live;
    const [holders] = await client.holdersOf([digestOf(1)]);
    assert.deepEqual(holders, live ? ['laptop'] : []);
    assert.equal((await client.statistics()).live, live ? 1 : 0);
    return live;
  };
  assert.equal(await seen(), false);
  assert.deepEqual(await client.renewLease({ url, load: 0 }), {
    ttlMs: 30_000,
    revoked: { fingerprints: [], upTo: 0 },
  });
  assert.equal(await seen(), true);
  clock.advance(29_999);
  assert.equal(await seen(), true);
  await repository.restart();
  assert.equal(await seen(), true);
  clock.advance(1);
  assert.equal(await seen(), false);
  await client.renewLease({ url, load: 0 });
  assert.equal(await seen(), true);
});

test('a lease is renewed until it is told to stop, and again after the repository was away', {
  timeout: 30_000,
}, async (t) => {
  const repository = await startTestRepository(t, { leaseTtlMs: 150 });
  const { client } = await repository.join('laptop');
  const stop = new AbortController();
  let load = 0;
  const renewal = new LeaseRenewal(client, {
    signal: stop.signal,
    backoff: { firstMs: 5, maxMs: 20 },
    lease: () => ({ url, load: load++ }),
  });
  assert.equal(renewal.state().live, false);
  const done = renewal.run();
  t.after(() => stop.abort());
  while (((await client.peers()).get('laptop')?.load ?? 0) < 3) await sleep(5);
  while (!renewal.state().live) await sleep(2);
  await repository.current.close();
  while (renewal.state().error === undefined || renewal.state().live) await sleep(2);
  await repository.restart();
  while (!renewal.state().live || renewal.state().error !== undefined) await sleep(2);
  stop.abort();
  await done;
});

test('an address that is none is refused', async (t) => {
  const repository = await startTestRepository(t);
  const { client } = await repository.join('laptop');
  for (const wrong of ['', 'http://127.0.0.1:9', 'https://a/b', 'file:///etc']) {
    await assert.rejects(client.renewLease({ url: wrong, load: 0 }), failsWith('E_BAD_INPUT'));
  }
});

test('reported blocks are taken from the map and counted', async (t) => {
  const repository = await startTestRepository(t);
  const [laptop, backup] = [await repository.join('laptop'), await repository.join('backup', 'secondary')];
  await laptop.client.renewLease({ url, load: 0 });
  await laptop.client.finishResync(await laptop.client.beginResync({ history, sequence: 0 }));
  const gained = [1, 2, 3].map(digestOf);
  await laptop.client.sendChanges({ history, from: 0, to: 1, gained, lost: [] });
  await backup.client.reportMissing('laptop', [2, 9].map(digestOf));
  await backup.client.reportMissing('laptop', [2].map(digestOf));
  assert.deepEqual(await backup.client.holdersOf(gained), [['laptop'], [], ['laptop']]);
  const info = (await backup.client.peers()).get('laptop');
  assert.deepEqual([info?.holdings, info?.missing], [2, 1]);
  await assert.rejects(backup.client.reportMissing('nobody', [digestOf(1)]), failsWith('E_NOT_FOUND'));
});

test('administrators see the status page, others do not', async (t) => {
  const repository = await startTestRepository(t);
  const { identity: boss } = await repository.join('boss', 'administrator');
  const laptop = await repository.join('laptop');
  await laptop.client.renewLease({ url, load: 4 });
  const page = await rawRequest(repository.url, boss, { method: 'GET', path: '/', headers: {} });
  assert.equal(page.status, 200);
  assert.match(page.contentType, /^text\/html/);
  assert.match(page.body.toString(), /<td>laptop<td>client<td>yes<td>https:\/\/127\.0\.0\.1:9/);
  const refused = await rawRequest(repository.url, laptop.identity, { method: 'GET', path: '/', headers: {} });
  assert.equal(refused.status, 403);
});

test('a browser that was told to trust nobody else reaches health on loopback without a certificate', async (t) => {
  const repository = await startTestRepository(t);
  const { identity } = await repository.join('laptop');
  const answer = await new Promise<number | undefined>((resolve, reject) => {
    const options = { ca: identity.authorityPem, checkServerIdentity: () => undefined };
    request(`${repository.url}/health`, options, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on('error', reject)
      .end();
  });
  assert.equal(answer, 200);
});

test('the parameters of cutting belong to the domain from its first day', async (t) => {
  const stateDirectory = await temporaryDirectory(t);
  const cut = { minBytes: 1024, normalBytes: 4096, maxBytes: 8192 };
  const repository = await startTestRepository(t, { stateDirectory, cut });
  const { domain } = await repository.join('laptop');
  assert.deepEqual(domain.cut, cut);
  await repository.current.close();
  const other = await startTestRepository(t, { stateDirectory, cut: { minBytes: 64, normalBytes: 64, maxBytes: 64 } });
  assert.deepEqual((await other.join('desktop')).domain, domain);
});

test('a member of another repository is refused', async (t) => {
  const [here, there] = [await startTestRepository(t), await startTestRepository(t)];
  const { identity } = await there.join('laptop');
  const local: Identity = (await here.join('laptop')).identity;
  const client = openRepositoryClient({ identity: { ...identity, authorityPem: local.authorityPem }, url: here.url });
  t.after(() => client.close());
  await assert.rejects(client.domain(), failsWith('E_AUTH'));
});
