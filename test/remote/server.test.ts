/** Server and client over real TLS on loopback: who is let in, what comes back, how things end. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { CovaultError, type ErrorCode, isCovaultError } from '../../src/core/errors.ts';
import { asText } from '../../src/core/shape.ts';
import { type ConnectionOptions, openConnection } from '../../src/remote/client.ts';
import { parseNothing, type Route, route } from '../../src/remote/route.ts';
import { type ServerOptions, startServer } from '../../src/remote/server.ts';
import { hostileRequestSuite } from './hostile-requests.ts';
import { rawRequest, rawSocket } from './raw-request.ts';
import { createTestDomain, type TestDomain } from './test-domain.ts';

const failsWith =
  (code: ErrorCode, message = /./) =>
  (error: unknown) => {
    assert.ok(isCovaultError(error, code), `expected ${code}, got ${String(error)}`);
    assert.match(error.message, message);
    return true;
  };

const echo = route({
  method: 'POST',
  path: '/v1/echo',
  roles: ['client'],
  bodyBytesMax: 4096,
  parse: (body) => asText(body, 'echo'),
  handle: async ({ body, peer }) => ({ body: [body, peer?.name, peer?.role] }),
});

/** A server called "server" that trusts `domain`, closed with the test. */
async function serve(t: TestContext, domain: TestDomain, routes: Route[], options: Partial<ServerOptions> = {}) {
  const identity = await domain.identity('server', 'client');
  const server = await startServer({ identity, host: '127.0.0.1', port: 0, routes, ...options });
  t.after(() => server.close());
  return server;
}

/** A connection of a client called "laptop", closed with the test. */
async function connect(t: TestContext, domain: TestDomain, url: string, options: Partial<ConnectionOptions> = {}) {
  const identity = await domain.identity('laptop', 'client');
  const connection = openConnection({ identity, url, expect: { name: 'server', role: 'client' }, ...options });
  t.after(() => connection.close());
  return connection;
}

hostileRequestSuite(async (t) => {
  const domain = await createTestDomain();
  const routes = [
    echo,
    route({
      method: 'GET',
      path: '/',
      roles: ['administrator'],
      bodyBytesMax: 0,
      parse: parseNothing,
      handle: async () => ({ text: 'x', contentType: 'text/plain' }),
    }),
    route({
      method: 'POST',
      path: '/v1/open',
      roles: 'anyone',
      bodyBytesMax: 64,
      parse: (body) => asText(body, 'x'),
      handle: async () => ({ body: 1 }),
    }),
    route({
      method: 'POST',
      path: '/v1/stream',
      roles: ['secondary'],
      bodyBytesMax: 64,
      parse: (body) => asText(body, 'x'),
      handle: async () => ({ stream: (async function* () {})() }),
    }),
  ];
  const server = await serve(t, domain, routes);
  const abroad = await createTestDomain();
  const foreigner = { ...(await abroad.identity('laptop', 'client')), authorityPem: domain.authority.certificatePem };
  return {
    url: server.url,
    routes,
    members: new Map([
      ['client', await domain.identity('a', 'client')],
      ['secondary', await domain.identity('b', 'secondary')],
      ['administrator', await domain.identity('c', 'administrator')],
    ]),
    foreigner,
  };
});

test('a member is answered, and the server knows who asks', async (t) => {
  const domain = await createTestDomain();
  const { url } = await serve(t, domain, [echo]);
  const connection = await connect(t, domain, url);
  for (const text of ['a', 'b', 'c'])
    assert.deepEqual(await connection.call('/v1/echo', text), [text, 'laptop', 'client']);
});

test('who is busy says when to come again, in the message and in the header, within bounds', async (t) => {
  const domain = await createTestDomain();
  const busy = (path: string, retryAfterMs: number) =>
    route({
      method: 'POST',
      path,
      roles: ['client'],
      bodyBytesMax: 64,
      parse: parseNothing,
      handle: async () => {
        throw new CovaultError('E_BUSY', 'on battery', { retryAfterMs });
      },
    });
  const { url } = await serve(t, domain, [busy('/v1/soon', 1_250), busy('/v1/never', 1e15)]);
  const connection = await connect(t, domain, url);
  const retryOf = async (path: string) => {
    const error = await connection.call(path, undefined).catch((reason: unknown) => reason);
    assert.ok(isCovaultError(error, 'E_BUSY'));
    return error.retryAfterMs;
  };
  assert.equal(await retryOf('/v1/soon'), 1_250);
  assert.equal(await retryOf('/v1/never'), 24 * 60 * 60 * 1000);
  const streamed = connection.stream('/v1/soon', undefined).next();
  await assert.rejects(streamed, { code: 'E_BUSY', retryAfterMs: 1_250 });
  const identity = await domain.identity('laptop', 'client');
  const answer = await rawRequest(url, identity, { path: '/v1/soon' });
  assert.equal(answer.headers['retry-after'], '2');
});

test('errors of a handler arrive as they were, defects without their details', async (t) => {
  const domain = await createTestDomain();
  const defects: unknown[] = [];
  const fail = (path: string, error: Error) =>
    route({
      method: 'POST',
      path,
      roles: ['client'],
      bodyBytesMax: 64,
      parse: parseNothing,
      handle: () => Promise.reject(error),
    });
  const routes = [
    fail('/v1/busy', new CovaultError('E_BUSY', 'too much to do', { hint: 'come back later' })),
    fail('/v1/defect', new Error('secret detail')),
  ];
  const { url } = await serve(t, domain, routes, { onDefect: (error) => defects.push(error) });
  const connection = await connect(t, domain, url);
  await assert.rejects(connection.call('/v1/busy', null), (error: CovaultError) => {
    assert.equal(error.hint, 'come back later');
    return failsWith('E_BUSY', /^too much to do$/)(error);
  });
  await assert.rejects(connection.call('/v1/defect', null), (error: CovaultError) => {
    assert.doesNotMatch(error.message, /secret/);
    return failsWith('E_IO')(error);
  });
  assert.equal((defects[0] as Error).message, 'secret detail');
  assert.equal(defects.length, 1);
});

test('a connection is made to a member, not to an address', async (t) => {
  const domain = await createTestDomain();
  const { url } = await serve(t, domain, [echo]);
  for (const expect of [
    { name: 'other' },
    { role: 'repository' as const },
    { name: 'server', role: 'secondary' as const },
  ]) {
    const connection = await connect(t, domain, url, { expect });
    await assert.rejects(connection.call('/v1/echo', 'x'), failsWith('E_AUTH', /is client server, expected/));
  }
});

test('a server of another domain is not trusted, whatever its name', async (t) => {
  const [domain, abroad] = [await createTestDomain(), await createTestDomain()];
  const { url } = await serve(t, abroad, [echo]);
  const connection = await connect(t, domain, url);
  await assert.rejects(connection.call('/v1/echo', 'x'), failsWith('E_AUTH', /not trusted/));
});

test('a certificate of the authority without a member in it opens nothing', async (t) => {
  const domain = await createTestDomain();
  const { url } = await serve(t, domain, [echo]);
  const { certificatePem, privateKeyPem } = domain.authority;
  const connection = await connect(t, domain, url, {
    identity: { authorityPem: certificatePem, certificatePem, privateKeyPem },
  });
  await assert.rejects(connection.call('/v1/echo', 'x'), failsWith('E_AUTH'));
});

test('a caller that is not admitted any more is refused', async (t) => {
  const domain = await createTestDomain();
  const { url } = await serve(t, domain, [echo], {
    admit: ({ name, fingerprint }) => {
      assert.match(fingerprint, /^[0-9a-f]{64}$/);
      throw new CovaultError('E_AUTH', `${name} was removed`);
    },
  });
  const connection = await connect(t, domain, url);
  await assert.rejects(connection.call('/v1/echo', 'x'), failsWith('E_AUTH', /laptop was removed/));
});

test('answers of another version are refused with a hint', async (t) => {
  const domain = await createTestDomain();
  const { url } = await serve(t, domain, [
    route({
      method: 'POST',
      path: '/v1/x',
      roles: ['client'],
      bodyBytesMax: 64,
      parse: parseNothing,
      handle: async () => ({ body: 1 }),
    }),
  ]);
  const answer = await rawRequest(url, await domain.identity('laptop', 'client'), {
    path: '/v1/x',
    headers: { 'covault-protocol': '99' },
  });
  assert.equal(answer.status, 426);
  assert.match(answer.body.toString('latin1'), /same release/);
});

test('a call ends when its time is over, when it is aborted, and when nobody listens', async (t) => {
  const domain = await createTestDomain();
  let started = 0;
  const aborted: boolean[] = [];
  const slow = route({
    method: 'POST',
    path: '/v1/slow',
    roles: ['client'],
    bodyBytesMax: 64,
    parse: parseNothing,
    async handle({ signal }) {
      started += 1;
      if (!signal.aborted) await once(signal, 'abort');
      aborted.push(signal.aborted);
      return { body: null };
    },
  });
  const server = await serve(t, domain, [slow]);
  const connection = await connect(t, domain, server.url);
  await assert.rejects(connection.call('/v1/slow', null, { timeoutMs: 20 }), failsWith('E_UNAVAILABLE', /in time/));
  const stop = new AbortController();
  // The first call may have ended before the server saw it; the second is aborted when the server has it.
  const startedBefore = started;
  const call = connection.call('/v1/slow', null, { signal: stop.signal });
  while (started === startedBefore) await new Promise((resolve) => setImmediate(resolve));
  stop.abort();
  await assert.rejects(call, failsWith('E_INTERRUPTED'));
  while (aborted.length < started) await new Promise((resolve) => setImmediate(resolve));
  await server.close();
  await assert.rejects(connection.call('/v1/slow', null), failsWith('E_UNAVAILABLE', /refuses/));
});

test('an answer larger than expected is not read to its end', async (t) => {
  const domain = await createTestDomain();
  const large = route({
    method: 'POST',
    path: '/v1/large',
    roles: ['client'],
    bodyBytesMax: 64,
    parse: parseNothing,
    handle: async () => ({ body: Buffer.alloc(100_000) }),
  });
  const { url } = await serve(t, domain, [large]);
  const connection = await connect(t, domain, url);
  await assert.rejects(connection.call('/v1/large', null, { answerBytesMax: 99_999 }), failsWith('E_TOO_LARGE'));
  assert.equal(((await connection.call('/v1/large', null)) as Buffer).byteLength, 100_000);
});

test('a request beyond all limits is not even sent', async (t) => {
  const domain = await createTestDomain();
  const connection = await connect(t, domain, 'https://127.0.0.1:1');
  await assert.rejects(connection.call('/v1/echo', Buffer.alloc(5 * 1024 * 1024)), failsWith('E_TOO_LARGE'));
  await assert.rejects(connection.call('/v1/echo', 'x'), failsWith('E_UNAVAILABLE'));
});

test('closing lets requests under way finish and cuts off those that do not', async (t) => {
  const domain = await createTestDomain();
  const started: (() => void)[] = [];
  const released = Promise.withResolvers<void>();
  const wait = (path: string, until: (signal: AbortSignal) => Promise<unknown>) =>
    route({
      method: 'POST',
      path,
      roles: ['client'],
      bodyBytesMax: 64,
      parse: parseNothing,
      async handle({ signal }) {
        started.pop()?.();
        await until(signal);
        return { body: 'done' };
      },
    });
  const routes = [wait('/v1/finishes', () => released.promise), wait('/v1/stuck', (signal) => once(signal, 'abort'))];
  for (const path of ['/v1/finishes', '/v1/stuck']) {
    const server = await serve(t, domain, routes, { closeGraceMs: path === '/v1/stuck' ? 20 : 10_000 });
    const connection = await connect(t, domain, server.url);
    const running = new Promise<void>((resolve) => started.push(resolve));
    const call = connection.call(path, null);
    const outcome = path === '/v1/stuck' ? assert.rejects(call, failsWith('E_UNAVAILABLE')) : call;
    await running;
    const closed = server.close();
    assert.equal(server.close(), closed);
    released.resolve();
    await closed;
    assert.equal(await outcome, path === '/v1/stuck' ? undefined : 'done');
  }
});

test('two servers cannot have one port', async (t) => {
  const domain = await createTestDomain();
  const { port } = await serve(t, domain, []);
  await assert.rejects(serve(t, domain, [], { port }), failsWith('E_UNAVAILABLE', /cannot listen/));
});

test('addresses that are none of a member are bad input', () => {
  const identity = { authorityPem: '' };
  for (const url of ['', 'x', 'http://h:1', 'https://h:1/path', 'https://h:1/?q', 'https://u@h:1', 'https://h:1/#f']) {
    assert.throws(() => openConnection({ identity, url, expect: {} }), failsWith('E_BAD_INPUT'));
  }
});

test('a session is not resumed, so that every connection is checked', async (t) => {
  const domain = await createTestDomain();
  const { url } = await serve(t, domain, [echo]);
  const laptop = await domain.identity('laptop', 'client');
  const first = await rawSocket(url, laptop);
  first.resume();
  const [session] = (await Promise.race([
    once(first, 'session'),
    new Promise((resolve) => setTimeout(resolve, 200, [])),
  ])) as [Buffer?];
  first.destroy();
  const second = await rawSocket(url, laptop, session === undefined ? {} : { session });
  assert.equal(second.isSessionReused(), false);
  second.destroy();
});
