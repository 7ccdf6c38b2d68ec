/** Tables that were damaged in any way, whenever: the index comes to what a fresh one says, and says how. */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { systemClock } from '../../src/core/clock.ts';
import { KeptIndex } from '../../src/index/kept-index.ts';
import { type Fixture, makeFixture, noise, sightOf, testDomain } from './index-fixture.ts';

const seed = Number(process.env.COVAULT_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
const rounds = Number(process.env.COVAULT_TEST_ROUNDS ?? 2);
/** Of an index that a damage may end at each start; after that many failed ones it is made anew. */
const startsMax = 6;

/** Numbers below `max`, the same for the same seed. */
function randomOf(start: number): (max: number) => number {
  let state = (start * 2_654_435_761 + 1) >>> 0;
  return (max) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % max;
  };
}

const dataFile = (fixture: Fixture) => join(fixture.state, 'index', 'data.mdb');

function writeFiles(fixture: Fixture): void {
  for (let directory = 0; directory < 6; directory++) {
    fs.mkdirSync(join(fixture.data, `${directory}`));
    for (let number = 0; number < 15; number++) {
      const content = noise(directory * 100 + number, 100 + ((number * 7919) % 30_000));
      fs.writeFileSync(join(fixture.data, `${directory}`, `${number}`), content);
    }
  }
}

/** Garbage in many places, of any length, or the end cut off, or nothing left. */
function damage(path: string, random: (max: number) => number): string {
  const { size } = fs.statSync(path);
  const kind = random(8);
  if (kind === 0) {
    fs.truncateSync(path, random(size));
    return 'cut short';
  }
  if (kind === 1) {
    fs.rmSync(path);
    return 'removed';
  }
  const fd = fs.openSync(path, 'r+');
  const places = 1 + random(40);
  for (let place = 0; place < places; place++) {
    const length = 1 + random(2 ** random(13));
    fs.writeSync(fd, noise(random(2 ** 31), length), 0, length, random(Math.max(1, size - length)));
  }
  fs.closeSync(fd);
  return `garbage in ${places} places`;
}

interface Life {
  child: ChildProcess;
  ended: Promise<unknown>;
  /** Resolves when the index is level, or the process has ended. */
  level: Promise<'level' | 'ended'>;
}

/** A daemon's index in a process of its own, which a damage may end. */
function live(t: TestContext, fixture: Fixture): Life {
  const child = fork(new URL('./kept-child.ts', import.meta.url), { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
  t.after(() => child.kill('SIGKILL'));
  child.on('error', () => undefined);
  const ended = once(child, 'exit');
  child.send({ data: fixture.data, state: fixture.state });
  const level = Promise.race([once(child, 'message').then(() => 'level' as const), ended.then(() => 'ended' as const)]);
  return { child, ended, level };
}

/** Starts it until it is level; then kills it or, if `clean`, lets it close. @returns how many starts it took. */
async function liveUntilLevel(t: TestContext, fixture: Fixture, clean: boolean): Promise<number> {
  for (let starts = 1; ; starts++) {
    assert.ok(starts <= startsMax, 'it does not come up any more');
    const { child, ended, level } = live(t, fixture);
    if ((await level) === 'ended') continue;
    if (clean) child.send('close');
    else child.kill('SIGKILL');
    await ended;
    return starts;
  }
}

async function assertConverged(fixture: Fixture): Promise<void> {
  const index = await fixture.open();
  assert.deepEqual(await sightOf(index), await fixture.fresh());
  assert.deepEqual((await index.check()).differences, []);
  await index.close();
}

for (const clean of [true, false]) {
  const title = `tables damaged at random after ${clean ? 'a clean end' : 'a kill'} are made anew, or hold nothing wrong`;
  test(title, { timeout: 300_000 }, async (t) => {
    t.diagnostic(`COVAULT_TEST_SEED=${seed}`);
    const fixture = await makeFixture(t);
    writeFiles(fixture);
    for (let round = 0; round < rounds; round++) {
      await liveUntilLevel(t, fixture, clean);
      const what = damage(dataFile(fixture), randomOf(seed + round));
      const starts = await liveUntilLevel(t, fixture, true);
      t.diagnostic(`${what}: ${starts} starts`);
      await assertConverged(fixture);
    }
  });
}

test('tables damaged under a running index are made anew, at the latest by the next start', {
  timeout: 300_000,
}, async (t) => {
  t.diagnostic(`COVAULT_TEST_SEED=${seed}`);
  const fixture = await makeFixture(t);
  writeFiles(fixture);
  for (let round = 0; round < rounds; round++) {
    const { child, ended, level } = live(t, fixture);
    assert.equal(await level, 'level');
    const what = damage(dataFile(fixture), randomOf(seed + 100 + round));
    // It goes on writing what is done to the directory, or breaks.
    fs.writeFileSync(join(fixture.data, '0', 'more'), noise(round, 20_000));
    child.send('rescan');
    await Promise.race([once(child, 'message'), ended]);
    child.kill('SIGKILL');
    await ended;
    t.diagnostic(`${what}: ${await liveUntilLevel(t, fixture, true)} starts`);
    await assertConverged(fixture);
  }
});

/** Closed when the test ends. */
async function keptIndex(t: TestContext, fixture: Fixture): Promise<{ index: KeptIndex; notices: string[] }> {
  const directoryFd = fs.openSync(fixture.data, 'r');
  const notices: string[] = [];
  const index = await KeptIndex.open({
    stateDirectory: fixture.state,
    directoryFd,
    domain: testDomain,
    clock: systemClock,
    onNotice: (text) => notices.push(text),
  });
  t.after(async () => {
    await index.close();
    fs.closeSync(directoryFd);
  });
  return { index, notices };
}

test('an index is made anew on request while it is in use, and its holdings are offered as a new history', async (t) => {
  const fixture = await makeFixture(t);
  writeFiles(fixture);
  const { index, notices } = await keptIndex(t, fixture);
  await index.level();
  const cut = await index.openCut({});
  const history = index.feed.history();
  const { files } = index.status();
  const rebuilt = index.rebuild('a test wants it');
  await assert.rejects(index.openCut({}), { code: 'E_BUSY' });
  assert.equal(await index.readBlock(new Uint8Array(32)), undefined);
  assert.equal(index.status().isLevel, false);
  await rebuilt;
  await assert.rejects(cut.readObject('tree', cut.root.tree), { code: 'E_NOT_FOUND' });
  assert.equal(index.found, 'discarded');
  assert.match(notices.join(), /made anew: a test wants it/);
  await index.level();
  assert.notEqual(index.feed.history(), history);
  assert.equal(index.status().files, files);
  assert.ok(!fs.existsSync(join(fixture.state, 'index-damaged')));
});

test('an index that breaks while it runs is made anew by itself, three times at most', async (t) => {
  const fixture = await makeFixture(t);
  writeFiles(fixture);
  const { index, notices } = await keptIndex(t, fixture);
  for (let times = 1; times <= 3; times++) {
    await index.level();
    index.failed(new Error('a record cannot be read'));
    await index.level();
    assert.equal(index.found, 'damaged');
    assert.equal(notices.length, times);
  }
  index.failed(new Error('once more'));
  await index.level();
  assert.equal(notices.length, 3);
});
