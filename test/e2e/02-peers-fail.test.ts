/** Peers that die, hang, lie or are gone cost a snapshot time at most: the next holder takes over, the source last. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { type TestContext, test } from 'node:test';
import type { Message } from '../../scripts/covault-process.ts';
import { compareTrees } from '../../src/browse/compare-trees.ts';
import { ClientNetwork } from '../../src/commands/client-network.ts';
import { openLog } from '../../src/commands/logging.ts';
import { loadJoined } from '../../src/commands/membership.ts';
import { systemClock } from '../../src/core/clock.ts';
import { openIndex } from '../../src/index/live-index.ts';
import { type FileSet, writeFiles } from './files.ts';
import { type Client, makeStage, type Stage } from './stage.ts';

const shared: FileSet = { seed: 'shared', count: 200, bytesEach: 150_000 };
const sharedBytes = shared.count * shared.bytesEach;

async function startClients(t: TestContext, ...names: string[]): Promise<{ stage: Stage; clients: Client[] }> {
  const stage = makeStage(t);
  // Long, so that whoever is gone is certainly still named as live.
  await stage.startRepository(['--lease', '10m']);
  await stage.join('vault', 'secondary');
  const clients: Client[] = [];
  for (const name of names) {
    const client = await stage.startClient(name);
    writeFiles(client.data, shared);
    clients.push(client);
  }
  await stage.published(...clients);
  return { stage, clients };
}

function words(stage: Stage): string[] {
  return ['snapshot', 'laptop', '--to', stage.path('store'), '--state', stage.stateOf('vault')];
}

async function assertRight(stage: Stage, laptop: Client): Promise<void> {
  const restored = stage.path('restored');
  await stage.do(['restore', stage.path('store'), 'laptop/latest', restored]);
  const { identical, differences } = await compareTrees(laptop.data, restored);
  assert.ok(identical, JSON.stringify(differences.map(({ aspect, a, b }) => [aspect, a, b])));
}

function bytesOf(summary: Message, name: string): number {
  return summary.peers.find(({ peer }: { peer: string }) => peer === name)?.bytes ?? 0;
}

/**
 * A client whose blocks are all false: it joins, indexes a directory of its own, publishes, and serves something else
 * than what was asked for. Runs in this process.
 */
async function startLiar(t: TestContext, stage: Stage): Promise<void> {
  const stateDirectory = await stage.join('liar', 'client');
  const { domain, joined } = await loadJoined(stateDirectory);
  const data = stage.path('data', 'liar');
  fs.mkdirSync(data, { recursive: true });
  writeFiles(data, shared);
  const directoryFd = fs.openSync(data, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  const index = await openIndex({ stateDirectory, directoryFd, domain, clock: systemClock });
  await index.level();
  const network = await ClientNetwork.start({
    ...joined,
    listen: { host: '127.0.0.1', port: 0 },
    index: {
      feed: index.feed,
      openCut: (options) => index.openCut(options),
      async readBlock(digest) {
        const bytes = await index.readBlock(digest);
        if (bytes) bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
        return bytes;
      },
    },
    clock: systemClock,
    log: openLog('silent'),
  });
  t.after(async () => {
    await network.close();
    await index.close();
    fs.closeSync(directoryFd);
  });
  while ((await network.status()).behind !== 0) await new Promise((resolve) => setTimeout(resolve, 50));
}

test('one peer killed midway, one lying and one gone: the snapshot is whole and right', async (t) => {
  const { stage, clients } = await startClients(t, 'laptop', 'killed', 'gone');
  const [laptop, killed, gone] = clients as [Client, Client, Client];
  await startLiar(t, stage);
  // Its lease still runs: the repository names it as live.
  await gone.daemon.stop('SIGKILL');
  // Hangs first, so that it is certainly in the middle of an answer when it dies.
  let pulling = false;
  const onMessage = (message: Message) => {
    if (message.phase === 'trees') killed.daemon.child.kill('SIGSTOP');
    if (message.phase === 'pull' && !pulling) {
      pulling = true;
      setTimeout(() => killed.daemon.child.kill('SIGKILL'), 1000);
    }
  };
  const summary = await stage.do(words(stage), { onMessage });
  assert.ok(pulling);
  assert.equal(summary.newBytes, sharedBytes);
  assert.equal(bytesOf(summary, 'liar'), 0, 'no false block is counted');
  assert.equal(bytesOf(summary, 'gone'), 0);
  const liar = summary.dropped.find(({ peer }: { peer: string }) => peer === 'liar');
  assert.equal(liar?.reason, 'lied', JSON.stringify(summary.dropped));
  assert.ok(summary.fromSource >= sharedBytes - bytesOf(summary, 'killed'), 'the source sent what nobody else did');
  await assertRight(stage, laptop);
});

test('while honest peers are there, the source is spared whatever the others do', async (t) => {
  const { stage, clients } = await startClients(t, 'laptop', 'honest');
  const [laptop] = clients as [Client, Client];
  await startLiar(t, stage);
  const summary = await stage.do(words(stage));
  assert.equal(bytesOf(summary, 'honest'), sharedBytes);
  assert.ok(summary.fromSource < 200_000, `${summary.fromSource} bytes from the source`);
  await assertRight(stage, laptop);
});

test('a client that is away is waited for as long as was asked, then named', async (t) => {
  const { stage, clients } = await startClients(t, 'laptop');
  const [laptop] = clients as [Client];
  const role = await stage.run(['snapshot', 'laptop', '--to', stage.path('s'), '--state', laptop.state]);
  assert.equal(role.exitCode, 5, 'a client may not ask for cuts');
  await laptop.daemon.stop();
  const { exitCode, last } = await stage.run([...words(stage), '--patience', '1s']);
  assert.deepEqual([exitCode, last.code], [6, 'E_UNAVAILABLE']);
  assert.match(String(last.message), /laptop/);
  const unknown = await stage.run(['snapshot', 'nobody', '--to', stage.path('s'), '--state', stage.stateOf('vault')]);
  assert.deepEqual([unknown.exitCode, unknown.last.code], [4, 'E_NOT_FOUND']);
  assert.match(String(unknown.last.hint), /laptop/);
});
