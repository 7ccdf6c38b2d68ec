/** Snapshots over real HTTPS on loopback, into a real store. */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { CovaultError, isCovaultError } from '../../src/core/errors.ts';
import { noSourceUse } from '../../src/core/snapshot.ts';
import { pause, systemTimers } from '../../src/core/timers.ts';
import { encodeTree } from '../../src/core/tree.ts';
import { emptySink } from '../../src/snapshot/dry-sink.ts';
import type { PeerState } from '../../src/snapshot/peer-directory.ts';
import type { PlanSummary } from '../../src/snapshot/plan-summary.ts';
import { testBytes } from '../store/store-fixture.ts';
import { bytesOf, joinFiles, makeFiles, source, TakeWorld } from './take-world.ts';

const common = makeFiles(60, { seed: 1 });
const pair = makeFiles(40, { seed: 2 });
const alone = makeFiles(10, { seed: 3 });

/** laptop holds everything, desktop and server hold most of it. */
async function threeClients(t: Parameters<typeof TakeWorld.make>[0]) {
  const world = await TakeWorld.make(t);
  const laptop = await world.add(source, joinFiles(common, pair, alone));
  const desktop = await world.add('desktop', joinFiles(common, pair));
  const server = await world.add('server', joinFiles(common, makeFiles(5, { seed: 4 })));
  return { world, laptop, desktop, server };
}

describe('a plan without a pull', () => {
  test('says what a snapshot then pulls, from whom, and stores nothing', async (t) => {
    const { world, laptop, desktop, server } = await threeClients(t);
    const planned = await world.plan();
    assert.equal(planned.bytes, bytesOf(laptop.files));
    assert.equal(planned.sourceBytes, bytesOf(alone));
    assert.equal(
      planned.peers.reduce((sum, { bytes }) => sum + bytes, planned.sourceBytes),
      planned.bytes,
    );
    assert.deepEqual(planned.peers.map(({ peer }) => peer).toSorted(), ['desktop', 'server']);
    assert.deepEqual(
      [laptop, desktop, server].map(({ sent }) => sent.length),
      [0, 0, 0],
    );
    assert.equal(laptop.openCutCount, 0, 'the cut is closed');
    const { blocks, objects, snapshots } = await world.store.statistics();
    assert.deepEqual({ blocks, objects, snapshots }, { blocks: 0, objects: 0, snapshots: 0 });
    assert.deepEqual({ ...(await world.plan(emptySink)), timeNs: 0n }, { ...planned, timeNs: 0n });
    const told: PlanSummary[] = [];
    await world.take({ onPlanned: (summary) => told.push(summary) });
    assert.deepEqual(
      told.map(({ blocks, bytes, sourceBytes }) => ({ blocks, bytes, sourceBytes })),
      [{ blocks: planned.blocks, bytes: planned.bytes, sourceBytes: planned.sourceBytes }],
    );
    const after = await world.plan();
    assert.deepEqual([after.blocks, after.bytes, after.objects, after.peers], [0, 0, 0, []]);
  });
});

describe('a store that is still being opened', () => {
  test('is waited for after the first cut was made', async (t) => {
    const { world, laptop } = await threeClients(t);
    const writer = await world.store.openWriter();
    const sink = (async () => {
      while (laptop.openCutCount === 0) await pause(systemTimers, 5);
      return writer;
    })();
    const { record, rounds } = await world.take({ sink });
    assert.deepEqual([record.bytes, rounds], [bytesOf(laptop.files), 1]);
    assert.equal(laptop.openCutCount, 0, 'the cut is closed');
  });

  test('closes the cut if it cannot be opened', async (t) => {
    const { world, laptop } = await threeClients(t);
    const sink = (async () => {
      while (laptop.openCutCount === 0) await pause(systemTimers, 5);
      throw new CovaultError('E_AUTH', 'the password is wrong');
    })();
    await assert.rejects(world.take({ sink }), { code: 'E_AUTH' });
    assert.equal(laptop.openCutCount, 0, 'the cut is closed');
  });

  test('tells what is wrong with it also if the client is away', async (t) => {
    const { world } = await threeClients(t);
    await world.members.get(source)?.stop();
    const sink = Promise.reject(new CovaultError('E_AUTH', 'the password is wrong'));
    sink.catch(() => undefined);
    await assert.rejects(world.take({ sink }), { code: 'E_AUTH' });
  });
});

describe('load and price of peers', () => {
  /** What each peer is to send when the repository says this of them. */
  const planned = async (t: TestContext, states: [string, PeerState][]) => {
    const { world } = await threeClients(t);
    const { peers } = await world.plan(emptySink, { peerStates: async () => new Map(states) });
    return new Map(peers.map((share) => [share.peer, share]));
  };

  const bytesFrom = (plan: Awaited<ReturnType<typeof planned>>, peer: string) => plan.get(peer)?.bytes ?? 0;

  test('who has much to do or is dear is to send less, and the plan says why', async (t) => {
    const usual = await planned(t, []);
    const busy = await planned(t, [
      ['desktop', { load: 9, price: 1 }],
      ['server', { load: 0, price: 1 }],
    ]);
    assert.ok(bytesFrom(busy, 'server') > bytesFrom(usual, 'server'));
    assert.equal(busy.get('desktop')?.load, 9);
    const dear = await planned(t, [
      ['desktop', { load: 0, price: 1 }],
      ['server', { load: 0, price: 5 }],
    ]);
    assert.ok(bytesFrom(dear, 'server') < bytesFrom(usual, 'server') / 2);
    assert.equal(dear.get('server')?.price, 5);
  });

  test('a repository that cannot say it now holds up no plan', async (t) => {
    const { world } = await threeClients(t);
    const peerStates = async () => {
      throw new CovaultError('E_UNAVAILABLE', 'away');
    };
    assert.equal((await world.plan(emptySink, { peerStates })).peers.length, 2);
  });
});

describe('a snapshot', () => {
  test('has every byte, takes from the source only what nobody else has, and says who gave what', async (t) => {
    const { world, laptop, desktop, server } = await threeClients(t);
    const { record, rounds } = await world.take();
    await world.assertContent(record, laptop.files);
    assert.equal(rounds, 1);
    assert.deepEqual(record.exceptions, []);
    assert.equal(record.files, laptop.files.size);
    assert.equal(record.bytes, bytesOf(laptop.files));
    assert.equal(record.newBytes, bytesOf(laptop.files));
    assert.equal(record.bytesFromSource, record.bytesOnlyAtSource);
    const objectBytes = record.bytesFromSource - bytesOf(alone);
    assert.ok(objectBytes > 0 && objectBytes < 0.05 * record.bytes, `${objectBytes} bytes of trees and recipes`);
    assert.equal(
      record.peers.reduce((sum, { bytes }) => sum + bytes, 0),
      bytesOf(common) + bytesOf(pair),
    );
    assert.deepEqual(record.peers.map(({ peer }) => peer).toSorted(), ['desktop', 'server']);
    assert.deepEqual(record.sourceUse, { ...noSourceUse(), onlyHolder: bytesOf(alone), objects: objectBytes });
    assert.ok(desktop.sent.length > 0 && server.sent.length > 0);
    assert.equal(laptop.openCutCount, 0, 'the cut is closed');
    const listed = await world.store.listSnapshots();
    assert.deepEqual(
      listed.map(({ id }) => id),
      [record.id],
    );
  });

  test('keeps below the speed that this machine may take', async (t) => {
    const { world, laptop } = await threeClients(t);
    const bytesPerSecond = 4_000_000;
    const { record } = await world.take({ download: { bytesPerSecond, windows: [] } });
    await world.assertContent(record, laptop.files);
    // However slow the machine is, it cannot have been sooner; a quarter of a second may pass at once.
    assert.ok(record.seconds >= bytesOf(laptop.files) / bytesPerSecond - 0.3, `${record.seconds} s`);
  });

  test('of what has changed a little pulls only that', async (t) => {
    const { world, laptop, desktop, server } = await threeClients(t);
    await world.take();
    const sentBefore = [laptop, desktop, server].map((client) => client.sent.length);
    const changed = testBytes(99, 3 * 4096);
    laptop.write('d0/e0/new', changed);
    const { record } = await world.take();
    await world.assertContent(record, laptop.files);
    assert.equal(record.newBytes, changed.byteLength);
    const sent = [laptop, desktop, server].map((client, index) => client.sent.length - (sentBefore[index] ?? 0));
    assert.deepEqual(sent, [3, 0, 0]);
    assert.ok(record.bytesFromSource - changed.byteLength < 20_000, 'only the trees on the way to it are fetched');
    assert.equal(record.files, laptop.files.size);
    assert.equal(record.bytes, bytesOf(laptop.files));
  });

  test('of what has not changed pulls nothing', async (t) => {
    const { world } = await threeClients(t);
    const first = await world.take();
    const { record } = await world.take();
    assert.equal(record.newBytes, 0);
    assert.equal(record.bytesFromSource, 0);
    assert.deepEqual(record.root, first.record.root);
    assert.equal(record.bytes, first.record.bytes);
  });

  test('of an empty directory is empty', async (t) => {
    const world = await TakeWorld.make(t);
    await world.add(source, new Map());
    const { record } = await world.take();
    await world.assertContent(record, new Map());
    assert.equal(record.files, 0);
  });

  test('survives a peer killed midway, one that lies and one that is gone', async (t) => {
    const { world, laptop, desktop, server } = await threeClients(t);
    const liar = await world.add('liar', joinFiles(common, pair));
    await world.add('gone', joinFiles(common, pair));
    await world.members.get('gone')?.stop();
    liar.spoil = (bytes) => Uint8Array.from(bytes, (byte) => byte ^ 1);
    let reads = 0;
    server.beforeRead = async () => {
      // Killed while it sends: its connections break off.
      if (++reads === 20) void world.members.get('server')?.stop();
    };
    const { record, dropped } = await world.take();
    await world.assertContent(record, laptop.files);
    assert.deepEqual(
      dropped.filter(({ reason }) => reason.kind === 'lied').map(({ peer }) => peer),
      ['liar'],
    );
    assert.equal(record.bytesFromSource, record.bytesOnlyAtSource, 'desktop had the rest');
    assert.ok(!record.peers.some(({ peer }) => peer === 'liar'));
    assert.ok(desktop.sent.length > 0);
  });

  test('turns to the source when the peers that had the rest are gone', async (t) => {
    const { world, laptop, desktop } = await threeClients(t);
    await world.members.get('server')?.stop();
    let reads = 0;
    desktop.beforeRead = async () => {
      if (++reads === 20) void world.members.get('desktop')?.stop();
    };
    const { record } = await world.take();
    await world.assertContent(record, laptop.files);
    assert.ok(record.bytesFromSource > record.bytesOnlyAtSource);
  });

  test('corrects the map where it is stale', async (t) => {
    const { world, laptop, desktop } = await threeClients(t);
    const path = [...pair.keys()].find((name) => (pair.get(name)?.byteLength ?? 0) > 4 * 4096) as string;
    desktop.write(path, testBytes(77, 100));
    const { record, stale } = await world.take();
    await world.assertContent(record, laptop.files);
    const blocks = Math.ceil((pair.get(path)?.byteLength ?? 0) / 4096);
    assert.deepEqual(stale, [{ peer: 'desktop', blocks }]);
    assert.equal(world.reported.length, blocks);
    assert.ok(world.reported.every(({ peer }) => peer === 'desktop'));
  });

  test('goes on when the source restarts at another address', async (t) => {
    const { world, laptop } = await threeClients(t);
    let restarted: Promise<void> | undefined;
    laptop.beforeRead = async () => {
      restarted ??= world.restart(source);
    };
    const { record } = await world.take({ patienceMs: 10_000 });
    await restarted;
    await world.assertContent(record, laptop.files);
  });
});

describe('a file that changes while it is read', () => {
  test('is read again in a state that was whole', async (t) => {
    const { world, laptop } = await threeClients(t);
    const path = [...alone.keys()].at(-1) as string;
    laptop.write(path, testBytes(500, 20 * 4096));
    let changes = 0;
    laptop.beforeRead = () => {
      if (changes++ === 0) laptop.write(path, testBytes(501, 20 * 4096 + 5));
    };
    const { record, rounds } = await world.take();
    assert.equal(rounds, 2);
    assert.equal(record.timeNs, 2_000_000_000n, 'the moment is that of the second cut');
    assert.deepEqual(record.exceptions, []);
    await world.assertContent(record, laptop.files);
    assert.equal(laptop.openCutCount, 0);
  });

  test('and never settles is named and has no content, and the rest is whole', async (t) => {
    const { world, laptop } = await threeClients(t);
    const restless = ['d1/restless', 'restless too'];
    let version = 0;
    const change = () => {
      for (const path of restless) laptop.write(path, testBytes(++version * 2 + 1000, 6 * 4096));
    };
    change();
    // A cut is overtaken by a change before its blocks can be read.
    laptop.beforeRead = change;
    const { record, rounds } = await world.take({ roundsMax: 3 });
    assert.equal(rounds, 3);
    assert.deepEqual(record.exceptions.map(({ path }) => Buffer.from(path).toString()).toSorted(), restless);
    assert.match(record.exceptions[0]?.reason ?? '', /changed while it was read/);
    const expected = new Map<string, Uint8Array | undefined>(laptop.files);
    for (const path of restless) expected.set(path, undefined);
    await world.assertContent(record, expected);
    const report = await world.store.check({ readData: true });
    assert.ok(report.ok, JSON.stringify(report.findings));
  });
});

describe('a snapshot that is cut short', () => {
  test('is not listed, and what had come is not pulled again', async (t) => {
    const { world, laptop, desktop, server } = await threeClients(t);
    const stop = new AbortController();
    let reads = 0;
    desktop.beforeRead = () => {
      if (++reads === 60) stop.abort();
    };
    await assert.rejects(world.take({ signal: stop.signal }), (error) => isCovaultError(error, 'E_INTERRUPTED'));
    assert.deepEqual(await world.store.listSnapshots(), []);
    assert.equal(laptop.openCutCount, 0, 'the cut is closed');
    await world.store.refresh();
    const before = await world.store.statistics();
    assert.ok(before.blocks > 20, `${before.blocks} blocks were kept`);
    const clients = [laptop, desktop, server];
    const held = new Set(
      clients.flatMap((client) => client.sent).filter((key) => world.store.hasBlock(Buffer.from(key, 'latin1'))),
    );
    for (const client of clients) client.sent.length = 0;
    desktop.beforeRead = () => undefined;
    const { record } = await world.take();
    await world.assertContent(record, laptop.files);
    const again = clients.flatMap((client) => client.sent).filter((key) => held.has(key));
    assert.deepEqual(again, []);
    assert.ok(record.bytesFromSource < bytesOf(alone) + 0.05 * record.bytes, 'trees are not fetched again either');
  });

  test('by the loss of the source ends clearly, keeps what came, and can be taken later', async (t) => {
    const { world, laptop } = await threeClients(t);
    laptop.beforeRead = async () => {
      void world.members.get(source)?.stop();
    };
    const failed = world.take({ patienceMs: 200, bounds: { healthTimes: { restMsFirst: 1, restMsMax: 20 } } });
    await assert.rejects(failed, (error) => {
      assert.ok(isCovaultError(error, 'E_UNAVAILABLE'), String(error));
      assert.match(error.message, /laptop/);
      assert.ok(error.hint);
      return true;
    });
    assert.deepEqual(await world.store.listSnapshots(), []);
    laptop.beforeRead = () => undefined;
    await world.restart(source);
    const { record } = await world.take();
    await world.assertContent(record, laptop.files);
    assert.ok(record.newBytes < record.bytes);
  });

  test('because the client is not there says so', async (t) => {
    const { world } = await threeClients(t);
    await world.members.get(source)?.stop();
    await assert.rejects(world.take({ patienceMs: 100 }), (error) => {
      assert.ok(isCovaultError(error, 'E_UNAVAILABLE'), String(error));
      assert.match(error.message, /client laptop cannot be reached/);
      return true;
    });
  });

  test('because the source sends other trees than asked for says so', async (t) => {
    const { world, laptop } = await threeClients(t);
    const { openCut } = laptop;
    laptop.openCut = async () => {
      const cut = await openCut.call(laptop);
      const { readObject } = cut;
      const other = encodeTree([]);
      return { ...cut, readObject: async (kind, digest) => (kind === 'tree' ? other : readObject(kind, digest)) };
    };
    await assert.rejects(world.take(), (error) => {
      assert.ok(isCovaultError(error, 'E_CORRUPT'), String(error));
      assert.match(error.message, /the source sent something else for tree/);
      return true;
    });
    assert.deepEqual(await world.store.listSnapshots(), []);
  });
});
