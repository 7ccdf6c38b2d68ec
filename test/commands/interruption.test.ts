/** Signals: the first asks, a second one ends; the same one delivered twice is one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aborted, watchSignals } from '../../src/commands/interruption.ts';

function watch() {
  const state = { nowMs: 0, hardStops: 0 };
  const clock = { nowMs: () => 0, monotonicMs: () => state.nowMs };
  return { state, interruption: watchSignals(clock, () => (state.hardStops += 1)) };
}

test('the first signal aborts with the interruption as reason', async (t) => {
  const { state, interruption } = watch();
  t.after(() => interruption.dispose());
  process.emit('SIGTERM');
  await aborted(interruption.signal);
  assert.equal(interruption.signal.reason.code, 'E_INTERRUPTED');
  assert.equal(state.hardStops, 0);
});

test('a second signal within a moment is the same one, a later one stops hard', (t) => {
  const { state, interruption } = watch();
  t.after(() => interruption.dispose());
  process.emit('SIGINT');
  state.nowMs = 200;
  process.emit('SIGINT');
  assert.equal(state.hardStops, 0);
  state.nowMs = 1000;
  process.emit('SIGINT');
  assert.equal(state.hardStops, 1);
});

test('nothing listens after the end', () => {
  const before = process.listenerCount('SIGINT');
  const { interruption } = watch();
  assert.equal(process.listenerCount('SIGINT'), before + 1);
  interruption.dispose();
  assert.equal(process.listenerCount('SIGINT'), before);
});
