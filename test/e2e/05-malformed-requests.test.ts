/** Nonsense sent to every route of running daemons is refused with a clear error, and harms nobody. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { request } from 'node:https';
import { test } from 'node:test';
import { encode } from '../../src/core/codec.ts';
import { limits } from '../../src/core/limits.ts';
import { type Identity, loadIdentity } from '../../src/remote/identity.ts';
import { messageType, protocolVersion, versionHeader } from '../../src/remote/protocol.ts';
import { repositoryPaths } from '../../src/remote/repository-messages.ts';
import { paths as peerPaths } from '../../src/snapshot/messages.ts';
import { writeFiles } from './files.ts';
import { makeStage } from './stage.ts';

interface Attempt {
  method?: string;
  path: string;
  headers?: Record<string, string>;
  body?: Uint8Array;
  identity: Identity;
}

/** The HTTP status, or "cut" if the other side closed the connection instead. */
function send(url: string, { method = 'POST', path, headers, body, identity }: Attempt): Promise<number | 'cut'> {
  return new Promise((resolve) => {
    const outgoing = request(
      new URL(path, url),
      {
        method,
        headers: { 'content-type': messageType, [versionHeader]: String(protocolVersion), ...headers },
        key: identity.privateKeyPem,
        cert: identity.certificatePem,
        ca: identity.authorityPem,
        // Certificates name members, not hosts.
        checkServerIdentity: () => undefined,
        agent: false,
        timeout: 30_000,
      },
      (answer) => {
        answer.resume().on('error', () => undefined);
        resolve(answer.statusCode ?? 0);
      },
    );
    outgoing.on('error', () => resolve('cut')).on('timeout', () => outgoing.destroy());
    outgoing.end(body);
  });
}

const nonsense: [string, Uint8Array][] = [
  ['nothing', new Uint8Array(0)],
  ['random bytes', randomBytes(1000)],
  ['text', Buffer.from('{"digests": []}')],
  ['null', encode(null)],
  ['a number', encode(12)],
  ['a list', encode([[[[]]]])],
  ['an empty map', encode({})],
  ['a map of wrong types', encode({ digests: 'x', name: 7, secret: [], history: {}, resync: -1, ids: null, cut: 1 })],
  ['a list that says it has 2^32-1 items', Buffer.from('ddffffffff', 'hex')],
  ['a map that says it has 2^32-1 items', Buffer.from('dfffffffff', 'hex')],
  ['bytes that end too early', encode({ digests: randomBytes(3200) }).subarray(0, 1000)],
  ['digests of the wrong length', encode({ digests: randomBytes(33) })],
  ['deep nesting', Buffer.concat([Buffer.alloc(100_000, 0x91), Buffer.from([0xc0])])],
];

/** Every status that blames who asked. */
function isRefusal(status: number | 'cut'): boolean {
  return status === 'cut' || (status >= 400 && status < 500);
}

async function sendNonsense(url: string, path: string, identity: Identity): Promise<void> {
  for (const [name, body] of nonsense) {
    const status = await send(url, { path, body, identity });
    assert.ok(status === 200 || isRefusal(status), `${name} to ${path}: ${status}`);
  }
  const large = Buffer.alloc(limits.requestBytesMax + 1);
  assert.ok(isRefusal(await send(url, { path, body: large, identity })), `too large a request to ${path}`);
  const headers = { 'content-type': 'application/json' };
  assert.ok(isRefusal(await send(url, { path, headers, body: Buffer.from('{}'), identity })), `JSON to ${path}`);
  const version = { [versionHeader]: '999' };
  const refused = await send(url, { path, headers: version, body: encode({}), identity });
  assert.ok(refused === 426 || refused === 403, `version to ${path}: ${refused}`);
  assert.ok(isRefusal(await send(url, { path, method: 'PUT', body: encode({}), identity })), `PUT to ${path}`);
}

test('the repository refuses nonsense on every route and goes on', async (t) => {
  const stage = makeStage(t);
  await stage.startRepository();
  const state = await stage.join('laptop', 'client');
  const identity = await loadIdentity(state);
  const administrator = await loadIdentity(await stage.join('root', 'administrator'));
  assert.ok(identity && administrator);
  for (const path of Object.values(repositoryPaths)) {
    await sendNonsense(stage.repositoryUrl, path, identity);
    await sendNonsense(stage.repositoryUrl, path, administrator);
  }
  assert.equal(await send(stage.repositoryUrl, { path: '/v1/nowhere', body: encode({}), identity }), 404);
  const answer = await send(stage.repositoryUrl, { path: repositoryPaths.domain, body: encode({}), identity });
  assert.equal(answer, 200, 'a proper request is answered as before');
});

test('a client refuses nonsense on every route and goes on serving its mount and its blocks', async (t) => {
  const stage = makeStage(t);
  await stage.startRepository();
  const laptop = await stage.startClient('laptop');
  const identity = await loadIdentity(await stage.join('vault', 'secondary'));
  const other = await loadIdentity(await stage.join('desktop', 'client'));
  assert.ok(identity && other);
  const url = String(laptop.daemon.ready.url);
  for (const path of Object.values(peerPaths)) {
    await sendNonsense(url, path, identity);
    await sendNonsense(url, path, other);
  }
  writeFiles(laptop.data, { seed: 'laptop', count: 3, bytesEach: 10_000 });
  const store = stage.path('store');
  const summary = await stage.do(['snapshot', 'laptop', '--to', store, '--state', stage.stateOf('vault')]);
  assert.equal(summary.files, 3);
});

test('a stranger, whose certificate another domain made, is refused by every route', async (t) => {
  const [stage, elsewhere] = [makeStage(t), makeStage(t)];
  await stage.startRepository();
  await elsewhere.startRepository();
  const laptop = await stage.startClient('laptop');
  const ours = await loadIdentity(laptop.state);
  const theirs = await loadIdentity(await elsewhere.join('laptop', 'administrator'));
  assert.ok(ours && theirs);
  // It knows our authority, and so can speak TLS with us; its own certificate is not of this domain.
  const identity = { ...theirs, authorityPem: ours.authorityPem };
  const body = encode({});
  for (const path of Object.values(peerPaths)) {
    assert.equal(await send(String(laptop.daemon.ready.url), { path, body, identity }), 403, path);
  }
  for (const path of Object.values(repositoryPaths)) {
    const expected = path === repositoryPaths.join ? 400 : 403;
    assert.equal(await send(stage.repositoryUrl, { path, body, identity }), expected, path);
  }
});
