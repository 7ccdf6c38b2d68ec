/** The serving side over real HTTPS: who gets what, and what happens when too many ask or nobody takes the answer. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { digestKey } from '../../src/core/digest.ts';
import { CovaultError, isCovaultError } from '../../src/core/errors.ts';
import { limits } from '../../src/core/limits.ts';
import { systemTimers } from '../../src/core/timers.ts';
import { type Connection, openConnection } from '../../src/remote/client.ts';
import type { Role } from '../../src/remote/member.ts';
import { HeldCuts } from '../../src/snapshot/held-cuts.ts';
import { cutLeaseMs, paths } from '../../src/snapshot/messages.ts';
import { openRemoteCut, PeerConnections } from '../../src/snapshot/peer.ts';
import type { ServingOptions } from '../../src/snapshot/serve.ts';
import { ServingGate, type ServingGateOptions } from '../../src/snapshot/serving-gate.ts';
import { defaultServingSettings, type ServingSettings } from '../../src/snapshot/serving-policy.ts';
import { UploadSlots } from '../../src/snapshot/upload-slots.ts';
import { hostileRequestSuite } from '../remote/hostile-requests.ts';
import { createTestDomain } from '../remote/test-domain.ts';
import { testDigester } from '../store/store-fixture.ts';
import { FakeClient, packFiles, ServedClient } from './fake-client.ts';
import { makeFiles } from './take-world.ts';
import { VirtualTime } from './virtual-time.ts';

function gateWith(settings: Partial<ServingSettings>, more: Partial<ServingGateOptions> = {}): ServingGate {
  return new ServingGate({ settings: { ...defaultServingSettings, ...settings }, ...more });
}

async function serve(t: TestContext, options: Partial<ServingOptions> = {}) {
  const domain = await createTestDomain();
  const client = new FakeClient('desktop', makeFiles(20, { seed: 9 }), testDigester);
  const served = await new ServedClient(client, domain, options).start(t);
  const url = served.url as string;
  const connect = async (name: string, role: Role): Promise<Connection> => {
    const connection = openConnection({
      identity: await domain.identity(name, role),
      url,
      expect: { name: 'desktop' },
      connections: 16,
    });
    t.after(() => connection.close());
    return connection;
  };
  const { blocks, root } = packFiles(client.files, testDigester);
  const wanted = [...blocks].map(([key, bytes]) => ({ digest: Buffer.from(key, 'latin1'), length: bytes.byteLength }));
  return { domain, client, served, url, connect, wanted, blocks, root };
}

hostileRequestSuite(async (t) => {
  const { domain, served, url } = await serve(t);
  const abroad = await createTestDomain();
  return {
    url,
    routes: served.serving?.routes ?? [],
    members: new Map([
      ['client', await domain.identity('a', 'client')],
      ['secondary', await domain.identity('b', 'secondary')],
      ['administrator', await domain.identity('c', 'administrator')],
    ]),
    foreigner: { ...(await abroad.identity('a', 'client')), authorityPem: domain.authority.certificatePem },
  };
});

test('a client may pull blocks but not open cuts', async (t) => {
  const { connect, wanted, blocks } = await serve(t);
  const connection = await connect('server', 'client');
  await assert.rejects(openRemoteCut(connection, { timers: systemTimers }), (error) => isCovaultError(error, 'E_AUTH'));
  const channel = new PeerConnections(async () => connection);
  let bytes = 0;
  const received: string[] = [];
  const options = {
    signal: new AbortController().signal,
    packed: false,
    onBytes: (count: number) => {
      bytes += count;
    },
  };
  for await (const answer of channel.blocks('desktop', wanted, options)) {
    const block = wanted[answer.position];
    assert.ok(block && answer.bytes);
    assert.deepEqual(Buffer.from(answer.bytes), Buffer.from(blocks.get(digestKey(block.digest)) ?? []));
    received.push(digestKey(block.digest));
  }
  assert.deepEqual(received, [...blocks.keys()]);
  assert.ok(bytes > wanted.reduce((sum, block) => sum + block.length, 0), 'every byte on the way is counted');
});

test('blocks that are not held or cannot be read are lacking, the others come', async (t) => {
  const { connect, wanted, client, served } = await serve(t);
  const [first, second, third] = wanted;
  assert.ok(first && second && third);
  client.beforeRead = (digest) => {
    if (digestKey(digest) === digestKey(second.digest)) throw new CovaultError('E_IO', 'the disk is broken');
  };
  const unknown = { digest: new Uint8Array(32).fill(3), length: 10 };
  const connection = await connect('vault', 'secondary');
  const channel = new PeerConnections(async () => connection);
  const here: boolean[] = [];
  const options = { signal: new AbortController().signal, packed: true, onBytes: () => undefined };
  for await (const { bytes } of channel.blocks('desktop', [first, unknown, second, third], options)) {
    here.push(bytes !== undefined);
  }
  assert.deepEqual(here, [true, false, false, true]);
  const [count] = served.serving?.status().served ?? [];
  assert.deepEqual(count, {
    peer: 'vault',
    blocks: 2,
    bytes: first.length + third.length,
    lacked: 2,
    objectBytes: 0,
  });
});

test('who asks for too much at once is told to come again, and is served then', async (t) => {
  const { connect, wanted, client } = await serve(t, { gate: gateWith({ slots: { total: 3, perPuller: 2 } }) });
  const held = Promise.withResolvers<void>();
  client.beforeRead = () => held.promise;
  const connection = await connect('vault', 'secondary');
  const other = await connect('archive', 'secondary');
  const pull = async (from: Connection) => {
    const channel = new PeerConnections(async () => from);
    const options = { signal: new AbortController().signal, packed: true, onBytes: () => undefined };
    let count = 0;
    for await (const { bytes } of channel.blocks('desktop', wanted.slice(0, 3), options)) if (bytes) count++;
    return count;
  };
  const isBusy = (error: unknown) => isCovaultError(error, 'E_BUSY');
  const early = [pull(connection), pull(connection)];
  await untilReading(client, 2);
  await assert.rejects(pull(connection), isBusy);
  const third = pull(other);
  await untilReading(client, 3);
  await assert.rejects(pull(other), isBusy);
  held.resolve();
  assert.deepEqual(await Promise.all([...early, third]), [3, 3, 3]);
  assert.equal(await pull(connection), 3);
});

test('a client on battery refuses others with a reason and a time, but serves copies of itself', async (t) => {
  const state = { isOnBattery: true, isMetered: false };
  const { connect, wanted, client } = await serve(t, { gate: gateWith({}, { surroundings: () => state }) });
  const connection = await connect('vault', 'secondary');
  const channel = new PeerConnections(async () => connection);
  const pull = async (blocks = wanted) => {
    const options = { signal: new AbortController().signal, packed: true, onBytes: () => undefined };
    for await (const _ of channel.blocks('desktop', blocks, options));
  };
  await assert.rejects(pull(), { code: 'E_BUSY', message: /it runs on battery/, retryAfterMs: 300_000 });
  const cut = await openRemoteCut(connection, { timers: systemTimers });
  await pull();
  await cut.close();
  await assert.rejects(pull(), { code: 'E_BUSY' });
  state.isOnBattery = false;
  let reads = 0;
  client.beforeRead = () => {
    if (++reads === 3) state.isOnBattery = true;
  };
  await assert.rejects(pull(), { code: 'E_BUSY', message: /battery/ }, 'it begins while an answer goes out');
});

test('a slot is free again when the puller goes away midway', async (t) => {
  const { connect, wanted, served, client } = await serve(t);
  const connection = await connect('vault', 'secondary');
  const channel = new PeerConnections(async () => connection);
  let reads = 0;
  client.beforeRead = () => (++reads === 1 ? undefined : new Promise<void>(() => undefined));
  const stop = new AbortController();
  const answers = channel.blocks('desktop', wanted, { signal: stop.signal, packed: true, onBytes: () => undefined });
  assert.ok((await answers.next()).value);
  stop.abort();
  await assert.rejects(answers.next());
  for (let tries = 0; served.serving?.status().uploads !== 0; tries++) {
    assert.ok(tries < 1000, 'the slot is never given back');
    await systemPause(5);
  }
});

test('a cut is answered to its owner alone, until it is closed', async (t) => {
  const { connect, client, root } = await serve(t);
  const connection = await connect('vault', 'secondary');
  const cut = await openRemoteCut(connection, { timers: systemTimers });
  assert.deepEqual(Buffer.from(cut.root.tree), Buffer.from(root.tree));
  const objects = [];
  for await (const object of cut.objects('tree', [root.tree, new Uint8Array(32)], {})) objects.push(object.bytes);
  assert.equal(objects.length, 2);
  assert.ok(objects[0]);
  assert.equal(objects[1], undefined);
  const stranger = await connect('archive', 'secondary');
  const id = 'c'.repeat(32);
  await connection.call(paths.openCut, { cut: id });
  await connection.call(paths.openCut, { cut: id });
  assert.equal(client.cutCount, 2, 'asking twice for a cut makes one');
  await assert.rejects(stranger.call(paths.openCut, { cut: id }), (error) => isCovaultError(error, 'E_EXISTS'));
  await assert.rejects(stranger.call(paths.holdCut, { cut: id, waitMs: 0 }), (error) =>
    isCovaultError(error, 'E_NOT_FOUND'),
  );
  await stranger.call(paths.closeCut, { cut: id });
  assert.ok(await connection.call(paths.holdCut, { cut: id, waitMs: 1000 }), 'others cannot close it');
  await connection.call(paths.closeCut, { cut: id });
  await cut.close();
  await cut.close();
  assert.equal(client.openCutCount, 0);
});

test('a request for more blocks than may be asked at once is refused', async (t) => {
  const { connect } = await serve(t);
  const connection = await connect('vault', 'secondary');
  const digests = new Uint8Array(32 * (limits.blocksPerRequestMax + 1));
  const refused = async () => {
    for await (const _ of connection.stream(paths.blocks, { digests })) assert.fail('it was answered');
  };
  await assert.rejects(
    refused(),
    (error) => isCovaultError(error, 'E_BAD_INPUT') || isCovaultError(error, 'E_TOO_LARGE'),
  );
});

test('a cut whose owner is silent is closed when its lease ends, and not before', async () => {
  const time = new VirtualTime();
  const client = new FakeClient('desktop', new Map(), testDigester);
  const cuts = new HeldCuts(client, time);
  const signal = new AbortController().signal;
  const id = 'c'.repeat(32);
  cuts.open('vault', id);
  await cuts.hold('vault', id, { waitMs: 1000, signal });
  assert.equal(client.openCutCount, 1);
  const wait = (ms: number) => time.run(new Promise<void>((resolve) => time.after(ms, resolve)), 1e9);
  await wait(cutLeaseMs - 1);
  await cuts.hold('vault', id, { waitMs: 0, signal });
  await wait(cutLeaseMs - 1);
  assert.equal(client.openCutCount, 1, 'holding extends the lease');
  await wait(2);
  await turn();
  assert.equal(client.openCutCount, 0);
  assert.equal(cuts.count, 0);
  assert.throws(() => cuts.use('vault', id), { code: 'E_NOT_FOUND' });
  assert.equal(time.timerCount, 0);
});

test('a cut that nobody waits for any more is not even finished', async () => {
  const time = new VirtualTime();
  let aborted = false;
  const source = {
    openCut: ({ signal }: { signal?: AbortSignal }) =>
      new Promise<never>((_, reject) => {
        signal?.addEventListener('abort', () => {
          aborted = true;
          reject(signal.reason);
        });
      }),
  };
  const cuts = new HeldCuts(source, time);
  const id = 'c'.repeat(32);
  cuts.open('vault', id);
  const state = await time.run(cuts.hold('vault', id, { waitMs: 10, signal: new AbortController().signal }), 1e9);
  assert.deepEqual(state, { state: 'opening' });
  await time.run(new Promise<void>((resolve) => time.after(cutLeaseMs, resolve)), 1e9);
  assert.ok(aborted);
});

test('a cut that cannot be made tells why and is gone', async () => {
  const source = { openCut: () => Promise.reject(new CovaultError('E_IO', 'the disk is broken')) };
  const time = new VirtualTime();
  const cuts = new HeldCuts(source, time);
  const id = 'c'.repeat(32);
  cuts.open('vault', id);
  const held = cuts.hold('vault', id, { waitMs: 1000, signal: new AbortController().signal });
  await assert.rejects(held, { code: 'E_IO', message: 'the disk is broken' });
  assert.equal(cuts.count, 0);
  assert.equal(time.timerCount, 0);
});

test('nobody can open cuts without end', () => {
  const cuts = new HeldCuts(new FakeClient('desktop', new Map(), testDigester), new VirtualTime());
  for (let count = 0; count < 4; count++) cuts.open('vault', `${count}`);
  assert.throws(() => cuts.open('vault', 'more'), { code: 'E_BUSY' });
  for (let count = 0; count < 12; count++) cuts.open(`archive-${count}`, `archive-${count}`);
  assert.throws(() => cuts.open('archive', 'more'), { code: 'E_BUSY' });
  cuts.open('vault', '0');
  assert.equal(cuts.count, 16);
});

test('slots are given back one by one', () => {
  const slots = new UploadSlots({ total: 2, perPuller: 2 });
  const first = slots.take('a');
  slots.take('b');
  assert.throws(() => slots.take('a'), { code: 'E_BUSY' });
  first();
  assert.equal(slots.taken, 1);
  slots.take('a');
  assert.throws(() => slots.take('b'), { code: 'E_BUSY' });
});

/** Waits until the reads of so many requests have begun. */
async function untilReading(client: FakeClient, requests: number): Promise<void> {
  for (let tries = 0; client.readsBegun < requests; tries++) {
    assert.ok(tries < 1000, 'the requests never arrive');
    await systemPause(5);
  }
}

function systemPause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
