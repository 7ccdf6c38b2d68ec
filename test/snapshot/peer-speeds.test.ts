/** What is remembered of peers' speeds: bounded, not for ever, and of use to the next plan. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rememberSpeeds, speedsOfUse } from '../../src/snapshot/peer-speeds.ts';

const dayMs = 86_400_000;
const nowMs = 1_800_000_000_000;
const known = [
  { peer: 'desktop', bytesPerSecond: 10, atMs: nowMs - dayMs },
  { peer: 'server', bytesPerSecond: 20, atMs: nowMs - 29 * dayMs },
  { peer: 'attic', bytesPerSecond: 30, atMs: nowMs - 31 * dayMs },
];

test('what was measured now takes the place of what was, the rest stays until it is old', () => {
  assert.deepEqual(rememberSpeeds(known, new Map([['desktop', 99]]), nowMs), [
    { peer: 'desktop', bytesPerSecond: 99, atMs: nowMs },
    { peer: 'server', bytesPerSecond: 20, atMs: nowMs - 29 * dayMs },
  ]);
  assert.deepEqual(
    [...speedsOfUse(known, nowMs)],
    [
      ['desktop', 10],
      ['server', 20],
    ],
  );
});

test('no more than a thousand peers are remembered, those met last', () => {
  const many = Array.from({ length: 1500 }, (_, number) => ({
    peer: `old-${number}`,
    bytesPerSecond: 1,
    atMs: nowMs - number - 1,
  }));
  const kept = rememberSpeeds(many, new Map([['new', 5]]), nowMs);
  assert.equal(kept.length, 1000);
  assert.equal(kept[0]?.peer, 'new');
  assert.ok(kept.some(({ peer }) => peer === 'old-0') && !kept.some(({ peer }) => peer === 'old-1200'));
});

test('a clock that was wrong makes no speed last for ever', () => {
  const future = [{ peer: 'desktop', bytesPerSecond: 10, atMs: nowMs + 400 * dayMs }];
  assert.equal(speedsOfUse(future, nowMs).size, 0);
});
