/** Streams below a rate, whatever asks when. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { admit, burstMs, Pace, pieceBytes } from '../../src/snapshot/pacing.ts';
import { VirtualTime } from './virtual-time.ts';

const step = fc.record({
  waitMs: fc.double({ min: 0, max: 5_000, noNaN: true }),
  bytes: fc.integer({ min: 1, max: 1e6 }),
});

test('no more passes in any stretch of time than the rate and the burst allow, and nothing waits without need', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1_000, max: 1e7 }), (steps, bytesPerSecond) => {
      let nowMs = 0;
      let paidUntilMs = 0;
      const passed: { atMs: number; bytes: number }[] = [];
      for (const { waitMs, bytes } of steps) {
        nowMs += waitMs;
        const admitted = admit(paidUntilMs, { bytes, bytesPerSecond, nowMs });
        assert.ok(admitted.atMs >= nowMs);
        if (paidUntilMs <= nowMs + burstMs) assert.equal(admitted.atMs, nowMs, 'it had to wait with nothing before it');
        paidUntilMs = admitted.paidUntilMs;
        passed.push({ atMs: admitted.atMs, bytes });
      }
      for (let first = 0; first < passed.length; first++) {
        let sum = 0;
        for (let last = first; last < passed.length; last++) {
          const { atMs, bytes } = passed[last] as { atMs: number; bytes: number };
          const ms = atMs - (passed[first] as { atMs: number }).atMs;
          assert.ok(sum <= ((ms + burstMs) / 1000) * bytesPerSecond + 1e-3, `${sum} bytes in ${ms} ms`);
          sum += bytes;
        }
      }
    }),
  );
});

test('without a bound nothing waits, and a rate that changes holds from the next piece on', () => {
  const free = admit(0, { bytes: 1e9, bytesPerSecond: Number.POSITIVE_INFINITY, nowMs: 7 });
  assert.deepEqual(free, { atMs: 7, paidUntilMs: 7 });
  const slow = admit(free.paidUntilMs, { bytes: 1_000, bytesPerSecond: 1_000, nowMs: 7 });
  assert.deepEqual(slow, { atMs: 7, paidUntilMs: 1_007 });
  assert.equal(admit(slow.paidUntilMs, { bytes: 1, bytesPerSecond: 1e9, nowMs: 7 }).atMs, 1_007 - burstMs);
});

test('many streams at once share one rate, and one that is given up frees its waiter', async () => {
  const time = new VirtualTime();
  const pace = new Pace({ clock: time, timers: time });
  const stream = async () => {
    for (let piece = 0; piece < 20; piece++) await pace.pass(5_000, 100_000);
  };
  await time.run(Promise.all(Array.from({ length: 4 }, stream)), 1e6);
  assert.ok(time.monotonicMs() >= 4_000 - burstMs - 50 && time.monotonicMs() <= 4_000, `${time.monotonicMs()} ms`);
  const stop = new AbortController();
  const waiting = pace.pass(1e6, 1_000, stop.signal).then(() => pace.pass(1, 1_000, stop.signal));
  stop.abort(new Error('gone'));
  await assert.rejects(waiting, /gone/);
  assert.equal(time.timerCount, 0);
});

test('pieces are a tenth of a second, within bounds', () => {
  assert.equal(pieceBytes(Number.POSITIVE_INFINITY), Number.POSITIVE_INFINITY);
  assert.equal(pieceBytes(1_000_000), 100_000);
  assert.equal(pieceBytes(1), 1024);
  assert.equal(pieceBytes(1e12), 256 * 1024);
});
