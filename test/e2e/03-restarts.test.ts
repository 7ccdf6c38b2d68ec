/** Daemons that are killed and started again, in any order, end up right. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { compareTrees } from '../../src/browse/compare-trees.ts';
import { writeFiles } from './files.ts';
import { type Client, makeStage, type Stage } from './stage.ts';

const shared = { seed: 'shared', count: 60, bytesEach: 80_000 };
const sharedBytes = shared.count * shared.bytesEach;

async function assertSnapshotRight(stage: Stage, client: Client): Promise<Record<string, unknown>> {
  const store = stage.path('store');
  const summary = await stage.do(['snapshot', client.name, '--to', store, '--state', stage.stateOf('vault')]);
  const restored = stage.path('restored');
  await stage.do(['restore', store, `${client.name}/latest`, restored]);
  const { identical, differences } = await compareTrees(client.data, restored);
  assert.ok(identical, JSON.stringify(differences.map(({ path, aspect }) => [Buffer.from(path).toString(), aspect])));
  return summary;
}

test('a repository that is killed and started again has lost nothing that it acknowledged', async (t) => {
  const stage = makeStage(t);
  const repository = await stage.startRepository();
  const laptop = await stage.startClient('laptop');
  const desktop = await stage.startClient('desktop');
  await stage.join('vault', 'secondary');
  writeFiles(laptop.data, shared);
  writeFiles(desktop.data, shared);
  await stage.published(laptop, desktop);
  const before = await stage.do(['status', '--state', laptop.state]);

  await repository.stop('SIGKILL');
  const away = await stage.do(['status', '--state', laptop.state]);
  assert.equal(away.repository.reachable, false);
  writeFiles(laptop.data, { seed: 'meanwhile', count: 3, bytesEach: 70_000 });
  await stage.startRepository();
  await stage.published(laptop, desktop);

  const after = await stage.do(['status', '--state', laptop.state]);
  assert.ok(after.repository.statistics.digests >= before.repository.statistics.digests);
  assert.equal(after.repository.resyncs, before.repository.resyncs, 'the feed went on where it was');
  const summary = await assertSnapshotRight(stage, laptop);
  assert.deepEqual(summary.peers, [{ peer: 'desktop', bytes: sharedBytes }]);
});

test('a client works while the repository is down, and catches up later', async (t) => {
  const stage = makeStage(t);
  const repository = await stage.startRepository();
  await stage.join('laptop', 'client');
  await stage.join('vault', 'secondary');
  await repository.stop();
  const laptop = await stage.mountClient('laptop');
  writeFiles(laptop.data, shared);
  const status = await stage.do(['status', '--state', laptop.state]);
  assert.deepEqual([status.repository.reachable, status.repository.behind > 0], [false, true]);
  await stage.startRepository();
  await stage.published(laptop);
  await assertSnapshotRight(stage, laptop);
});

/** Writes files without an end, until the mount is taken from under it. */
function startWriter(t: TestContext, directory: string): ChildProcess {
  const script = `
    import * as fs from 'node:fs';
    fs.mkdirSync(process.argv[1], { recursive: true });
    for (let n = 0; ; n++) {
      fs.writeFileSync(process.argv[1] + '/file-' + (n % 200), String(n).repeat(5000));
      if (n % 3 === 0) fs.renameSync(process.argv[1] + '/file-' + (n % 200), process.argv[1] + '/moved-' + (n % 50));
      if (n === 300) process.stdout.write('busy');
    }`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script, directory], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  t.after(() => child.kill('SIGKILL'));
  return child;
}

test('a client that is killed while files are written mounts again at once and knows what is there', async (t) => {
  const stage = makeStage(t);
  await stage.startRepository();
  await stage.join('vault', 'secondary');
  let laptop = await stage.startClient('laptop');
  writeFiles(laptop.data, shared);
  await stage.published(laptop);
  const writer = startWriter(t, join(laptop.data, 'busy'));
  assert.ok(writer.stdout);
  await once(writer.stdout, 'data');
  await laptop.daemon.stop('SIGKILL');
  await once(writer, 'exit');
  // What is under way while the connection ends is aborted, what comes later finds none.
  assert.throws(
    () => fs.readdirSync(laptop.data),
    { code: /^(ENOTCONN|ECONNABORTED)$/ },
    'the dead mount is in its place',
  );

  laptop = await stage.mountClient('laptop');
  assert.notEqual(laptop.daemon.ready.index, 'clean');
  assert.ok(fs.readdirSync(join(laptop.data, 'busy')).length > 0, 'what was written is there');
  fs.writeFileSync(join(laptop.data, 'after'), 'written after the restart');
  const summary = await assertSnapshotRight(stage, laptop);
  assert.deepEqual(summary.exceptions, []);
  const { index } = await stage.do(['status', '--state', laptop.state]);
  assert.equal(index.misses, 0);

  // And an orderly end is told from a kill.
  assert.equal((await laptop.daemon.stop()).exitCode, 130);
  laptop = await stage.mountClient('laptop');
  assert.equal(laptop.daemon.ready.index, 'clean');
});

test('a client that was alone joins, and what it had is shared under the names of the domain', async (t) => {
  const stage = makeStage(t);
  const alone = await stage.mountClient('laptop');
  writeFiles(alone.data, shared);
  await stage.do(['unmount', alone.data, '--state', alone.state]);
  await stage.startRepository();
  await stage.join('vault', 'secondary');
  const laptop = await stage.startClient('laptop');
  const desktop = await stage.startClient('desktop');
  writeFiles(desktop.data, shared);
  await stage.published(laptop, desktop);
  const summary = await assertSnapshotRight(stage, laptop);
  assert.deepEqual(summary.peers, [{ peer: 'desktop', bytes: sharedBytes }]);
});
