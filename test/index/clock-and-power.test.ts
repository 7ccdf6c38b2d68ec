/** The clock jumps, the machine stops: which files an index hashes again when it is opened next. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Clock } from '../../src/core/clock.ts';
import { systemClock } from '../../src/core/clock.ts';
import { type Fixture, makeFixture, noise, sightOf } from './index-fixture.ts';

const fileCount = 12;
const hourMs = 3_600_000;

function write(fixture: Fixture, from = 0, to = fileCount): void {
  for (let number = from; number < to; number++) fs.writeFileSync(join(fixture.data, `${number}`), noise(number, 3000));
}

class JumpingClock implements Clock {
  /** Milliseconds by which it is ahead. */
  ahead = 0;
  nowMs = () => Date.now() + this.ahead;
  monotonicMs = systemClock.monotonicMs;
}

const settle = async () => undefined;

/** As if the machine had been started anew since. */
function startMachineAnew(fixture: Fixture): void {
  fs.writeFileSync(join(fixture.state, 'index', 'running'), '0 another-boot');
}

function kill(fixture: Fixture): void {
  const boot = fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  fs.writeFileSync(join(fixture.state, 'index', 'running'), `0 ${boot}`);
}

for (const [title, first, later] of [
  ['ahead', 5 * hourMs, 0],
  ['behind', -5 * hourMs, 0],
  ['right, and is set back', 0, -5 * hourMs],
  ['right, and is set forward', 0, 5 * hourMs],
] as const) {
  test(`what is changed is found when the clock was ${title}`, async (t) => {
    const fixture = await makeFixture(t);
    const clock = new JumpingClock();
    clock.ahead = first;
    write(fixture);
    const index = await fixture.open({ clock, settle });
    await index.level();
    // While it runs, too.
    clock.ahead = later;
    write(fixture, fileCount, fileCount + 3);
    index.consume([{ kind: 'subtree', inode: fs.statSync(fixture.data, { bigint: true }).ino }]);
    await index.level();
    await index.close();
    kill(fixture);
    for (const name of ['1', '2']) {
      const path = join(fixture.data, name);
      const { atime, mtime } = fs.statSync(path);
      fs.writeFileSync(path, noise(99, 3000));
      fs.utimesSync(path, atime, mtime);
    }
    const again = await fixture.open({ clock, settle });
    assert.deepEqual(await sightOf(again), await fixture.fresh());
    assert.equal((await again.check()).misses, 0);
    assert.ok((again.status().lastScan?.filesChanged ?? 0) >= 2);
  });
}

test('that all was level in a future that did not come is no proof for what was hashed since', async (t) => {
  const fixture = await makeFixture(t);
  const clock = new JumpingClock();
  clock.ahead = 24 * hourMs;
  const first = await fixture.open({ clock, settle });
  await first.level();
  await first.close();
  clock.ahead = 0;
  write(fixture);
  const second = await fixture.open({ clock, settle });
  await second.level();
  await second.close();
  kill(fixture);
  // Each was hashed within two seconds after it was written.
  const third = await fixture.open({ clock, settle });
  assert.equal((await third.scan()).filesChanged, fileCount);
});

test('after the machine stopped, what was not known to be on the disk is hashed again', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const fixture = await makeFixture(t);
  const clock = new JumpingClock();
  write(fixture);
  const first = await fixture.open({ clock, settle });
  await first.level();
  // Later a flush begins, and is noted when it is over.
  clock.ahead = 20_000;
  await first.level();
  t.mock.timers.tick(60_000);
  await first.close();
  startMachineAnew(fixture);
  const second = await fixture.open({ clock, settle });
  assert.equal((await second.scan()).filesChanged, 0, 'all were flushed');
  clock.ahead = 40_000;
  fs.appendFileSync(join(fixture.data, '3'), 'more');
  second.consume([{ kind: 'inode', inode: fs.statSync(join(fixture.data, '3'), { bigint: true }).ino }]);
  await second.level();
  await second.close();
  kill(fixture);
  const third = await fixture.open({ clock, settle });
  assert.equal((await third.scan()).filesChanged, 0, 'a killed daemon loses nothing that was written');
  await third.close();
});

test('an index that was never flushed is hashed anew after the machine stopped, and only once', async (t) => {
  const fixture = await makeFixture(t);
  const clock = new JumpingClock();
  write(fixture);
  const first = await fixture.open({ clock, settle });
  await first.level();
  clock.ahead = 20_000;
  await first.level();
  await first.close();
  startMachineAnew(fixture);
  const interrupted = await fixture.open({ clock, settle });
  await interrupted.close();
  kill(fixture);
  const second = await fixture.open({ clock, settle });
  assert.equal((await second.scan()).filesChanged, fileCount, 'though it was opened in between');
  await second.level();
  clock.ahead = 40_000;
  await second.level();
  await second.close();
  kill(fixture);
  const third = await fixture.open({ clock, settle });
  assert.equal((await third.scan()).filesChanged, 0);
});
