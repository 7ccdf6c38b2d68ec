/** Trying again what may pass, in virtual time. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CovaultError } from '../../src/core/errors.ts';
import { persist } from '../../src/snapshot/persist.ts';
import { VirtualTime } from './virtual-time.ts';

const away = () => new CovaultError('E_UNAVAILABLE', 'away');

describe('trying again', () => {
  test('goes on until it works', async () => {
    const time = new VirtualTime();
    let attempts = 0;
    const work = async () => {
      if (++attempts < 5) throw away();
      return 'done';
    };
    const patience = { clock: time, timers: time, patienceMs: 60_000 };
    assert.equal(await time.run(persist(work, patience), 1e6), 'done');
    assert.equal(time.monotonicMs(), 250 + 500 + 1000 + 2000);
  });

  test('ends when patience does, with the last error', async () => {
    const time = new VirtualTime();
    const patience = { clock: time, timers: time, patienceMs: 10_000 };
    await assert.rejects(
      time.run(
        persist(() => Promise.reject(away()), patience),
        1e6,
      ),
      { code: 'E_UNAVAILABLE' },
    );
    assert.ok(time.monotonicMs() <= 10_000);
    assert.equal(time.timerCount, 0);
  });

  test('is more patient with what got somewhere', async () => {
    const time = new VirtualTime();
    let attempts = 0;
    const work = async () => {
      await new Promise<void>((resolve) => time.after(15_000, resolve));
      if (++attempts < 10) throw away();
    };
    await time.run(persist(work, { clock: time, timers: time, patienceMs: 1_000 }), 1e6);
    assert.equal(attempts, 10);
  });

  test('does not try again what will not pass, nor when it is stopped', async () => {
    const time = new VirtualTime();
    let attempts = 0;
    const fail = (error: CovaultError) => async () => {
      attempts += 1;
      throw error;
    };
    const patience = { clock: time, timers: time, patienceMs: 1e6 };
    await assert.rejects(persist(fail(new CovaultError('E_CORRUPT', 'bad')), patience), { code: 'E_CORRUPT' });
    assert.equal(attempts, 1);
    const stop = new AbortController();
    const stopped = persist(fail(away()), { ...patience, signal: stop.signal });
    time.after(100, () => stop.abort(new CovaultError('E_INTERRUPTED', 'stopped')));
    await assert.rejects(time.run(stopped, 1e6), { code: 'E_INTERRUPTED' });
    assert.equal(time.monotonicMs(), 100);
  });
});
