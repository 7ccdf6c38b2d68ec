/** A snapshot that is stopped, in order or not, leaves nothing half-made and goes on where it was. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Finished, Message } from '../../scripts/covault-process.ts';
import { compareTrees } from '../../src/browse/compare-trees.ts';
import { writeFiles } from './files.ts';
import { type Client, makeStage, type Stage } from './stage.ts';

const files = { seed: 'laptop', count: 100, bytesEach: 200_000 };
const allBytes = files.count * files.bytesEach;
/** So slow that a signal comes in the middle whatever the machine. */
const limit = ['--source-limit', '4MB'];

async function makeScene(t: import('node:test').TestContext): Promise<{ stage: Stage; laptop: Client }> {
  const stage = makeStage(t);
  await stage.startRepository();
  const laptop = await stage.startClient('laptop');
  await stage.join('vault', 'secondary');
  writeFiles(laptop.data, files);
  await stage.published(laptop);
  return { stage, laptop };
}

function words(stage: Stage, options: readonly string[]): string[] {
  return ['snapshot', 'laptop', '--to', stage.path('store'), '--state', stage.stateOf('vault'), ...options];
}

/** Sends the signal once a quarter has come; returns the bytes that had come when it was sent. */
async function interrupt(stage: Stage, signal: NodeJS.Signals): Promise<{ finished: Finished; bytes: number }> {
  let bytes = 0;
  let target: number | undefined;
  const onMessage = (message: Message) => {
    if (message.type !== 'progress' || message.phase !== 'pull' || bytes > 0 || message.done < allBytes / 4) return;
    bytes = message.done;
    assert.ok(target !== undefined);
    process.kill(target, signal);
  };
  const finished = await stage.run(words(stage, limit), { onMessage, onStart: (pid) => (target = pid) });
  assert.ok(bytes > 0 && bytes < allBytes, 'the signal came in the middle');
  return { finished, bytes };
}

async function assertRight(stage: Stage, laptop: Client): Promise<void> {
  const restored = stage.path('restored');
  await stage.do(['restore', stage.path('store'), 'laptop/latest', restored]);
  const { identical, differences } = await compareTrees(laptop.data, restored);
  assert.ok(identical, JSON.stringify(differences.map(({ aspect, a, b }) => [aspect, a, b])));
  assert.deepEqual((await stage.do(['check', stage.path('store'), '--read-data'])).findings, []);
}

test('stopped by SIGINT, the next run pulls only the rest', async (t) => {
  const { stage, laptop } = await makeScene(t);
  const { finished, bytes } = await interrupt(stage, 'SIGINT');
  assert.equal(finished.exitCode, 130);
  assert.equal(finished.last.code, 'E_INTERRUPTED');
  assert.deepEqual((await stage.do(['snapshots', stage.path('store')])).snapshots, [], 'nothing is listed');

  const second = await stage.do(words(stage, []));
  assert.ok(second.newBytes <= allBytes - bytes, `${second.newBytes} of ${allBytes} pulled again, ${bytes} had come`);
  assert.equal(second.bytes, allBytes);
  await assertRight(stage, laptop);
});

test('killed, it leaves a sound store without a snapshot, and the next run is right', async (t) => {
  const { stage, laptop } = await makeScene(t);
  const { finished } = await interrupt(stage, 'SIGKILL');
  assert.equal(finished.signal, 'SIGKILL');
  assert.deepEqual((await stage.do(['snapshots', stage.path('store')])).snapshots, []);
  const report = await stage.do(['check', stage.path('store'), '--read-data']);
  assert.equal(report.ok, true);
  await stage.do(words(stage, []));
  await assertRight(stage, laptop);
});
