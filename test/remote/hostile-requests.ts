/**
 * What every server must survive: malformed requests to each of its routes. Runs over a table of routes, so that a new
 * route is covered from its first day.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { decode, encode } from '../../src/core/codec.ts';
import type { Role } from '../../src/remote/member.ts';
import { messageType, versionHeader } from '../../src/remote/protocol.ts';
import type { Route } from '../../src/remote/route.ts';
import {
  type Credentials,
  errorCodeIn,
  properHeaders,
  type RawAnswer,
  rawRequest,
  rawSocket,
  readToEnd,
} from './raw-request.ts';

export interface HostileTarget {
  url: string;
  routes: readonly Route[];
  /** A member of each role that the server admits. */
  members: ReadonlyMap<Role, Credentials>;
  /** A member of another domain that trusts this one. */
  foreigner: Credentials;
}

/** Registers the tests; `start` is called once for each of them. */
export function hostileRequestSuite(start: (t: TestContext) => Promise<HostileTarget>): void {
  const eachRoute = (name: string, run: (target: HostileTarget, route: Route) => Promise<void>) =>
    test(name, { timeout: 60_000 }, async (t) => {
      const target = await start(t);
      assert.ok(target.routes.length > 0);
      for (const route of target.routes) {
        await run(target, route);
        assert.equal((await rawRequest(target.url, target.foreigner, { method: 'GET', path: '/health' })).status, 200);
      }
    });
  const eachPost = (name: string, run: (target: HostileTarget, route: Route, caller: Credentials) => Promise<void>) =>
    eachRoute(name, async (target, route) => {
      if (route.method === 'POST') await run(target, route, welcome(target, route));
    });

  eachRoute('strangers, foreigners and other roles are refused on every route that is not for anyone', testAccess);

  eachPost('bytes that are no message are bad input', async ({ url }, route, caller) => {
    const list = Buffer.from([0xdd, 0x01, 0xff, 0xff, 0xff]);
    const bodies = [
      Buffer.from('hello'),
      Buffer.alloc(Math.min(1000, route.bodyBytesMax), 0xc1),
      Buffer.concat(Array.from({ length: 30 }, () => list)),
      Buffer.concat([Buffer.alloc(200, 0x91), Buffer.from([0xc0])]),
      Buffer.from(encode({ digests: new Uint8Array(64), name: 'x' }).subarray(0, -1)),
      Buffer.concat([encode({}), encode({})]),
    ];
    for (const body of bodies) {
      assertRefused(await rawRequest(url, caller, { path: route.path, body }), ['E_BAD_INPUT', 'E_TOO_LARGE']);
    }
  });

  eachPost('messages of another shape are bad input', async ({ url }, route, caller) => {
    const values = [null, 0, -1, 1.5, 'text', true, [], {}, [[[]]], new Uint8Array(32), { digests: 'no', name: 7 }];
    for (const value of values) await assertShapeIsChecked(url, route, caller, value);
  });

  eachPost('random messages are answered or refused, never failed', async ({ url }, route, caller) => {
    const field = fc.constantFrom(
      'digests',
      'name',
      'history',
      'from',
      'to',
      'url',
      'load',
      'resync',
      'sequence',
      'after',
    );
    const leaf = fc.oneof(fc.string(), fc.integer(), fc.uint8Array({ maxLength: 70 }), fc.constant(null), fc.double());
    const value = fc.oneof(leaf, fc.array(leaf), fc.dictionary(field, leaf));
    await fc.assert(
      fc.asyncProperty(value, (any) => assertShapeIsChecked(url, route, caller, any)),
      { numRuns: 15 },
    );
  });

  eachPost('a body beyond the limit of the route is refused, announced or not', async ({ url }, route, caller) => {
    const body = Buffer.alloc(route.bodyBytesMax + 1, 0xc0);
    for (const form of [body, [body.subarray(0, 1000), body.subarray(1000)]]) {
      assertRefused(await rawRequest(url, caller, { path: route.path, body: form }), ['E_TOO_LARGE']);
    }
  });

  eachPost('another version of the protocol, another type of content, no body', async ({ url }, route, caller) => {
    const send = (headers: Record<string, string>, body?: Uint8Array) =>
      rawRequest(url, caller, { path: route.path, headers, body: body ?? encode({}) });
    assertRefused(await send({ ...properHeaders, [versionHeader]: '2' }), ['E_VERSION']);
    assertRefused(await send({ 'content-type': messageType }), ['E_VERSION']);
    assertRefused(await send({ ...properHeaders, 'content-type': 'application/json' }), ['E_BAD_INPUT']);
    const empty = await send(properHeaders, new Uint8Array(0));
    if (!accepts(route, undefined)) assertRefused(empty, ['E_BAD_INPUT']);
  });

  eachRoute('another method finds no route', async (target, route) => {
    const caller = welcome(target, route);
    for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'].filter(
      (other) => other !== route.method,
    )) {
      assertRefused(await rawRequest(target.url, caller, { method, path: route.path }), ['E_NOT_FOUND']);
    }
  });

  eachRoute('a huge header is refused', async (target, route) => {
    const headers = { ...properHeaders, 'x-long': 'x'.repeat(60_000) };
    const { method, path } = route;
    assertRefused(await rawRequest(target.url, welcome(target, route), { method, path, headers }), ['E_TOO_LARGE']);
  });

  eachPost('a request that stops in the middle harms nobody', async ({ url }, route, caller) => {
    const socket = await rawSocket(url, caller);
    const headers = Object.entries(properHeaders).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`POST ${route.path} HTTP/1.1\r\nhost: x\r\n${headers.join('')}content-length: 10\r\n\r\nabc`);
    socket.end();
    await readToEnd(socket);
  });

  test('what is not HTTP is refused in the form of every other error', async (t) => {
    const { url, foreigner } = await start(t);
    for (const nonsense of [
      '\0\0\0\0\r\n\r\n',
      'GET / HTTP/9.9\r\n\r\n',
      'POST /v1/domain HTTP/1.1\r\ncontent-length: -1\r\n\r\n',
    ]) {
      const socket = await rawSocket(url, foreigner);
      socket.write(nonsense);
      const answer = (await readToEnd(socket)).toString('latin1');
      assert.match(answer, /^HTTP\/1\.1 400 /);
      assert.match(answer, /E_BAD_INPUT/);
    }
  });

  test('paths that cannot be decoded and unknown paths find no route', async (t) => {
    const target = await start(t);
    const caller = [...target.members.values()][0] as Credentials;
    for (const path of ['/v1/none', '/%ZZ', '/v1/../x', `/${'a'.repeat(3000)}`]) {
      assertRefused(await rawRequest(target.url, caller, { path }), ['E_NOT_FOUND', 'E_BAD_INPUT']);
      assertRefused(await rawRequest(target.url, target.foreigner, { path }), ['E_AUTH', 'E_BAD_INPUT']);
    }
  });

  test('TLS 1.2 is refused', async (t) => {
    const { url, members } = await start(t);
    for (const member of members.values()) await assert.rejects(rawSocket(url, member, { maxVersion: 'TLSv1.2' }));
  });
}

async function testAccess(target: HostileTarget, route: Route): Promise<void> {
  const { method, path } = route;
  // Nothing that a route accepts: whoever gets through is refused for this and not for who it is.
  const ask = (caller: Credentials) =>
    rawRequest(target.url, caller, { method, path, ...(method === 'POST' ? { body: Buffer.from([0xc1]) } : {}) });
  const strangers: Credentials[] = [{ authorityPem: target.foreigner.authorityPem }, target.foreigner];
  for (const stranger of strangers) {
    const answer = await ask(stranger);
    if (route.roles !== 'anyone') assertRefused(answer, ['E_AUTH']);
    else assert.notEqual(answer.status, 403);
  }
  for (const [role, member] of target.members) {
    const answer = await ask(member);
    if (route.roles === 'anyone' || route.roles.includes(role))
      assert.notEqual(answer.status, 403, `${role} on ${path}`);
    else assertRefused(answer, ['E_AUTH']);
  }
}

async function assertShapeIsChecked(url: string, route: Route, caller: Credentials, value: unknown): Promise<void> {
  const body = encode(value);
  const answer = await rawRequest(url, caller, { path: route.path, body });
  assert.ok(answer.status < 500, `${route.path} answers ${answer.status} to ${JSON.stringify(value)}`);
  if (!accepts(route, decode(body, 'value'))) assertRefused(answer, ['E_BAD_INPUT', 'E_TOO_LARGE']);
}

function assertRefused(answer: RawAnswer, codes: string[]): void {
  assert.ok(answer.status >= 400 && answer.status < 500, `status ${answer.status}`);
  assert.equal(answer.contentType, messageType);
  assert.ok(
    codes.includes(String(errorCodeIn(answer.body))),
    `${errorCodeIn(answer.body)} is not ${codes.join(' or ')}`,
  );
}

function accepts(route: Route, value: unknown): boolean {
  try {
    route.parse(value);
    return true;
  } catch {
    return false;
  }
}

function welcome(target: HostileTarget, route: Route): Credentials {
  const role = [...target.members.keys()].find((each) => route.roles === 'anyone' || route.roles.includes(each));
  const member = role && target.members.get(role);
  assert.ok(member, `the test has a member that may use ${route.path}`);
  return member;
}
