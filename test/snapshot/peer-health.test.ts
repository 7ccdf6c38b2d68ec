/** When a peer is asked, waited for, and given up. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PeerHealth } from '../../src/snapshot/peer-health.ts';

describe('the health of a peer', () => {
  test('makes it rest twice as long after each failure, until it is dropped', () => {
    const health = new PeerHealth();
    const rests: number[] = [];
    for (let nowMs = 0; health.dropped === undefined; nowMs = health.restUntilMs) {
      assert.ok(health.isUsable(nowMs));
      health.failed('broken', 'connection refused', nowMs);
      rests.push(health.restUntilMs - nowMs);
    }
    assert.deepEqual(
      rests,
      [1, 2, 4, 8, 16, 32, 60, 60].map((seconds) => seconds * 1000),
    );
    assert.deepEqual(health.dropped, { kind: 'unreachable', message: 'connection refused' });
    assert.ok(!health.isUsable(1e9));
  });

  test('takes several requests that fail together for one failure', () => {
    const health = new PeerHealth();
    for (let request = 0; request < 10; request++) health.failed('broken', 'gone', request);
    assert.equal(health.restUntilMs, 1000);
    assert.ok(health.isCountedOn(500));
  });

  test('is good again after one success', () => {
    const health = new PeerHealth();
    health.failed('stalled', 'silent', 0);
    assert.ok(health.isOnProbation);
    health.succeeded();
    assert.ok(!health.isOnProbation);
    health.failed('broken', 'gone', 10_000);
    assert.equal(health.restUntilMs, 11_000);
  });

  test('is not counted on after two stalls or three broken requests', () => {
    const stalling = new PeerHealth();
    stalling.failed('stalled', 'silent', 0);
    assert.ok(stalling.isCountedOn(0));
    stalling.failed('stalled', 'silent', 10_000);
    assert.ok(!stalling.isCountedOn(10_000));
    const breaking = new PeerHealth();
    for (const nowMs of [0, 10_000]) breaking.failed('broken', 'gone', nowMs);
    assert.ok(breaking.isCountedOn(10_000));
    breaking.failed('broken', 'gone', 20_000);
    assert.ok(!breaking.isCountedOn(20_000));
    assert.equal(breaking.dropped, undefined);
  });

  test('lets a busy peer be asked when it wants to be, waits for it for a while, and drops it in the end', () => {
    const health = new PeerHealth();
    health.busy({ retryAfterMs: 5_000, message: 'busy' }, 0);
    assert.ok(!health.isUsable(4_999));
    assert.ok(health.isUsable(5_000));
    assert.ok(health.isCountedOn(19_999));
    assert.ok(!health.isCountedOn(20_000));
    let nowMs = 5_000;
    while (health.dropped === undefined) {
      health.busy({ message: 'busy' }, nowMs);
      assert.ok(health.restUntilMs - nowMs <= 30_000);
      nowMs = health.restUntilMs;
    }
    assert.ok(nowMs >= 600_000 && nowMs < 700_000, `${nowMs}`);
  });

  test('leaves a peer alone for as long as it asks, and does not count on one that asks for long', () => {
    const health = new PeerHealth();
    health.busy({ retryAfterMs: 120_000, message: 'on battery' }, 0);
    assert.ok(!health.isUsable(119_999));
    assert.ok(health.isUsable(120_000));
    assert.ok(!health.isCountedOn(0), 'others need not wait until it has been away for long');
    assert.equal(health.lastFailure, 'on battery');
    const forever = new PeerHealth();
    forever.busy({ retryAfterMs: 1e12, message: 'gone fishing' }, 0);
    assert.equal(forever.restUntilMs, 600_000);
  });

  test('keeps the first reason for which it was dropped', () => {
    const health = new PeerHealth();
    health.drop({ kind: 'lied', message: 'wrong bytes' });
    health.drop({ kind: 'refused', message: 'no entry' });
    assert.equal(health.dropped?.kind, 'lied');
    assert.ok(!health.isUsable(0));
    assert.ok(!health.isCountedOn(0));
  });
});
