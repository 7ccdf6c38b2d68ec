/** Peers are people's machines: what their settings say holds, is shown, and can be changed while they run. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Message } from '../../scripts/covault-process.ts';
import { type FileSet, writeFiles } from './files.ts';
import { type Client, makeStage, type Stage } from './stage.ts';

const shared: FileSet = { seed: 'shared', count: 40, bytesEach: 150_000 };
const sharedBytes = shared.count * shared.bytesEach;

function writeSettings(state: string, settings: Record<string, unknown>): void {
  writeFileSync(join(state, 'settings.json'), JSON.stringify(settings));
}

async function startClient(stage: Stage, name: string, settings: Record<string, unknown>): Promise<Client> {
  writeSettings(await stage.join(name, 'client'), settings);
  const client = await stage.mountClient(name);
  writeFiles(client.data, shared);
  return client;
}

function bytesOf(summary: Message, name: string): number {
  return summary.peers.find(({ peer }: { peer: string }) => peer === name)?.bytes ?? 0;
}

test('a member whose network is metered is left alone until that is over, and says so', async (t) => {
  const stage = makeStage(t);
  await stage.startRepository();
  const vault = await stage.join('vault', 'secondary');
  const laptop = await startClient(stage, 'laptop', {});
  const desktop = await startClient(stage, 'desktop', { metered: 'yes' });
  const server = await startClient(stage, 'server', { uploadPerMonth: '1GB' });
  await stage.published(laptop, desktop, server);
  const snapshot = (store: string) => stage.do(['snapshot', 'laptop', '--to', stage.path(store), '--state', vault]);
  const statusOf = async ({ state }: Client) => (await stage.do(['status', '--state', state])).repository.serving;

  const first = await snapshot('first');
  assert.equal(bytesOf(first, 'server'), sharedBytes, JSON.stringify(first));
  const { paused, month } = await statusOf(desktop);
  assert.equal(paused.reason, 'metered');
  assert.equal(month.bytes, 0);
  const sent = (await statusOf(server)).month;
  assert.ok(sent.bytes > sharedBytes && sent.bytesMax === 1e9, JSON.stringify(sent));

  writeSettings(desktop.state, { metered: 'maybe' });
  const refused = await stage.run(['reload', '--state', desktop.state]);
  assert.equal(refused.exitCode, 2);
  assert.match(String(refused.last.message), /settings\.json: metered is not one of/);
  writeSettings(desktop.state, { metered: 'no' });
  await stage.do(['reload', '--state', desktop.state]);
  assert.equal((await statusOf(desktop)).paused, undefined);
  // What the server has sent counts also after a restart: now it is too much.
  await server.daemon.stop();
  writeSettings(server.state, { uploadPerMonth: '5MB' });
  const again = await stage.mountClient('server');
  await stage.published(again);
  assert.equal((await statusOf(again)).paused.reason, 'month');
  const second = await snapshot('second');
  assert.equal(bytesOf(second, 'desktop'), sharedBytes, JSON.stringify(second));
});

test('a client with wrong settings does not start, and says which', async (t) => {
  const stage = makeStage(t);
  await stage.startRepository();
  const state = await stage.join('laptop', 'client');
  writeSettings(state, { uploadByHour: ['8-18=2MB'] });
  const { exitCode, last } = await stage.run(['mount', stage.path('state'), '--state', state]);
  assert.deepEqual([exitCode, last.code], [2, 'E_BAD_INPUT']);
  assert.match(String(last.message), /uploadByHour/);
});
