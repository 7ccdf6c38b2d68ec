/** What a client lets others take: for every setting, hour and state of the machine. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  addToMonth,
  calendarAt,
  decideServing,
  defaultServingSettings,
  rateAt,
  ratesFor,
  type ServingConditions,
  type ServingSettings,
} from '../../src/snapshot/serving-policy.ts';

const rate = fc.oneof(fc.constant(0), fc.constant(Number.POSITIVE_INFINITY), fc.integer({ min: 1, max: 1e9 }));
const minute = fc.integer({ min: 0, max: 1439 });
const window = fc
  .record({ fromMinute: minute, toMinute: minute, bytesPerSecond: rate })
  .filter(({ fromMinute, toMinute }) => fromMinute !== toMinute);
const settings: fc.Arbitrary<ServingSettings> = fc.record({
  upload: fc.record({ bytesPerSecond: rate, windows: fc.array(window, { maxLength: 4 }) }),
  slots: fc.constant(defaultServingSettings.slots),
  pausesOnBattery: fc.boolean(),
  pausesOnMetered: fc.boolean(),
  price: fc.integer({ min: 1, max: 1000 }),
  monthlyBytesMax: fc.oneof(fc.constant(Number.POSITIVE_INFINITY), fc.integer({ min: 0, max: 1e12 })),
  source: fc.record({
    bytesPerSecond: fc.integer({ min: 1, max: 1e9 }),
    freeAfterMs: fc.oneof(fc.constant(Number.POSITIVE_INFINITY), fc.integer({ min: 0, max: 1e8 })),
    pauses: fc.boolean(),
  }),
});
const conditions: fc.Arbitrary<ServingConditions> = fc.record({
  minute,
  isOnBattery: fc.boolean(),
  isMetered: fc.boolean(),
  monthBytes: fc.integer({ min: 0, max: 2e12 }),
  monthLeftMs: fc.integer({ min: 60_000, max: 31 * 86_400_000 }),
});

test('serving is paused exactly if one of the settings says so, with a time after which that one may be over', () => {
  fc.assert(
    fc.property(settings, conditions, (set, now) => {
      const decision = decideServing(set, now);
      const reasons = {
        battery: set.pausesOnBattery && now.isOnBattery,
        metered: set.pausesOnMetered && now.isMetered,
        hours: rateAt(set.upload, now.minute) === 0,
        month: now.monthBytes >= set.monthlyBytesMax,
      };
      if (decision.kind === 'serve') {
        assert.ok(!Object.values(reasons).includes(true));
        assert.equal(decision.bytesPerSecond, rateAt(set.upload, now.minute));
        assert.ok(decision.bytesPerSecond > 0);
        return;
      }
      assert.ok(reasons[decision.reason]);
      assert.ok(decision.retryAfterMs >= 60_000 && decision.retryAfterMs <= 31 * 86_400_000);
      if (reasons.month && !reasons.hours) assert.ok(decision.retryAfterMs >= now.monthLeftMs);
      if (decision.reason !== 'hours') return;
      const minutes = decision.retryAfterMs / 60_000;
      const isNever = Array.from({ length: 1440 }, (_, at) => rateAt(set.upload, at)).every((each) => each === 0);
      assert.ok(isNever || rateAt(set.upload, (now.minute + minutes) % 1440) > 0, 'by then the hour has passed');
      for (let later = 0; later < minutes; later++) assert.equal(rateAt(set.upload, (now.minute + later) % 1440), 0);
    }),
  );
});

test('whoever is let in is sent to at some rate, and copies of this client within their own until they are late', () => {
  fc.assert(
    fc.property(
      settings,
      conditions,
      fc.option(fc.integer({ min: 0, max: 2e8 }), { nil: undefined }),
      (set, now, open) => {
        const { all, source } = ratesFor(set, now, open);
        assert.ok(all > 0 && source > 0);
        const isBounded = open !== undefined && open < set.source.freeAfterMs;
        assert.equal(source, isBounded ? set.source.bytesPerSecond : Number.POSITIVE_INFINITY);
        const usual = rateAt(set.upload, now.minute);
        if (usual > 0) assert.equal(all, usual);
      },
    ),
  );
});

test('the first window that fits counts, also past midnight', () => {
  const schedule = {
    bytesPerSecond: 9,
    windows: [
      { fromMinute: 22 * 60, toMinute: 6 * 60, bytesPerSecond: 1 },
      { fromMinute: 5 * 60, toMinute: 12 * 60, bytesPerSecond: 2 },
    ],
  };
  const rates = [0, 359, 360, 719, 720, 22 * 60 - 1, 22 * 60, 1439].map((at) => rateAt(schedule, at));
  assert.deepEqual(rates, [1, 1, 2, 2, 9, 9, 1, 1]);
});

test('a month begins at nothing, and its end is known, through December too', () => {
  assert.deepEqual(addToMonth({ month: '2026-11', bytes: 5 }, '2026-11', 7), { month: '2026-11', bytes: 12 });
  assert.deepEqual(addToMonth({ month: '2026-11', bytes: 5 }, '2026-12', 7), { month: '2026-12', bytes: 7 });
  const lastDay = calendarAt(new Date(2026, 11, 31, 23, 30).getTime());
  assert.deepEqual(lastDay, { minute: 23 * 60 + 30, month: '2026-12', monthLeftMs: 30 * 60_000 });
});
