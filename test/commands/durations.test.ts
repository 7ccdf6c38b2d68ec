/** Durations on the command line. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDuration } from '../../src/commands/durations.ts';

test('a number with a unit is a duration', () => {
  assert.equal(parseDuration('90s'), 90_000);
  assert.equal(parseDuration('1.5h'), 5_400_000);
  assert.equal(parseDuration('7 d'), 7 * 86_400_000);
});

for (const text of ['', '5', 's', '-5s', '0s', '5 parsecs', '1h30m', 'Infinityh']) {
  test(`${JSON.stringify(text)} is refused`, () => {
    assert.throws(() => parseDuration(text), { code: 'E_BAD_INPUT' });
  });
}
