/** The address that other members are told. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { hostname } from 'node:os';
import { test } from 'node:test';
import { advertisedUrl } from '../../src/commands/advertised-url.ts';

test('a certain address is advertised as it is', async () => {
  assert.equal(await advertisedUrl({ host: '192.0.2.7', port: 1 }, 'https://nowhere.invalid:1'), 'https://192.0.2.7:1');
  assert.equal(await advertisedUrl({ host: '::1', port: 1 }, 'https://nowhere.invalid:1'), 'https://[::1]:1');
});

test('for all addresses, the one that leads to the repository is advertised', async (t) => {
  const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const url = `https://127.0.0.1:${port}`;
  assert.equal(await advertisedUrl({ host: '0.0.0.0', port: 5 }, url), 'https://127.0.0.1:5');
  assert.equal(await advertisedUrl({ host: '::', port: 5 }, url), 'https://127.0.0.1:5');
});

test('without a repository to reach, the name of the machine is advertised', async () => {
  assert.equal(await advertisedUrl({ host: '0.0.0.0', port: 5 }, 'https://127.0.0.1:1'), `https://${hostname()}:5`);
});
