/** The measured speed of a peer, with a clock given by hand. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RateMeter } from '../../src/snapshot/rate-meter.ts';

/** Receives `bytesPerSecond` for so many seconds, while waiting all the time. */
function receive(meter: RateMeter, from: number, seconds: number, bytesPerSecond: number): number {
  const stepMs = 10;
  meter.beginWait(from);
  for (let ms = stepMs; ms <= seconds * 1000; ms += stepMs) meter.received((bytesPerSecond * stepMs) / 1000, from + ms);
  const end = from + seconds * 1000;
  meter.endWait(end);
  return end;
}

function near(actual: number | undefined, expected: number): void {
  assert.ok(actual !== undefined && Math.abs(actual - expected) < 0.05 * expected, `${actual}, expected ${expected}`);
}

describe('the measured speed of a peer', () => {
  test('is unknown at first', () => {
    const meter = new RateMeter();
    assert.equal(meter.bytesPerSecond(0), undefined);
    assert.equal(meter.bytesPerSecond(1e6), undefined);
    assert.equal(meter.peak, 0);
  });

  test('is that of the bytes over the time waited', () => {
    const meter = new RateMeter();
    const end = receive(meter, 0, 3, 1e6);
    near(meter.bytesPerSecond(end), 1e6);
    near(meter.peak, 1e6);
  });

  test('does not fall while nobody waits for it', () => {
    const meter = new RateMeter();
    const end = receive(meter, 0, 3, 1e6);
    near(meter.bytesPerSecond(end + 1e6), 1e6);
    near(meter.bytesPerSecond(receive(meter, end + 1e6, 1, 1e6)), 1e6);
  });

  test('follows a change within seconds, and remembers the best', () => {
    const meter = new RateMeter();
    const slow = receive(meter, receive(meter, 0, 5, 1e6), 10, 1e4);
    assert.ok((meter.bytesPerSecond(slow) ?? 1e9) < 0.05 * 1e6);
    near(meter.peak, 1e6);
  });

  test('falls to next to nothing when nothing comes', () => {
    const meter = new RateMeter();
    const end = receive(meter, 0, 3, 1e6);
    meter.beginWait(end);
    assert.ok((meter.bytesPerSecond(end + 8000) ?? 1e9) < 0.05 * 1e6);
    assert.ok((meter.bytesPerSecond(end + 1e7) ?? 0) >= 1);
  });

  test('of several requests at once counts their time once', () => {
    const meter = new RateMeter();
    for (let request = 0; request < 3; request++) meter.beginWait(0);
    for (let ms = 10; ms <= 3000; ms += 10) meter.received(3e4, ms);
    near(meter.bytesPerSecond(3000), 3e6);
    near(meter.waitedSeconds, 3);
  });
});
