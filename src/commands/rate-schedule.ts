/** Rates by hour as people write them: "08:00-18:00=2MB". */
import { CovaultError } from '../core/errors.ts';
import type { RateWindow } from '../snapshot/serving-policy.ts';
import { parseBytes } from './sizes.ts';

/** Below this nothing arrives before a puller takes the peer for dead, bytes per second. */
const bytesPerSecondMin = 10_000;

/** @throws CovaultError `E_BAD_INPUT` for anything but "unlimited" or a size of at least 10 kB. */
export function parseRate(text: string): number {
  if (text === 'unlimited') return Number.POSITIVE_INFINITY;
  const bytesPerSecond = parseBytes(text);
  if (bytesPerSecond >= bytesPerSecondMin) return bytesPerSecond;
  throw new CovaultError('E_BAD_INPUT', `a rate of ${text} is too low to be of use`, {
    hint: 'allow at least 10kB a second, or nothing at all with "off" for some hours',
  });
}

/** "HH:MM-HH:MM=RATE": a rate, "unlimited" or "off". @throws CovaultError `E_BAD_INPUT`. */
export function parseRateWindow(text: string): RateWindow {
  const [, from, to, rate] = /^(\d{2}:\d{2})-(\d{2}:\d{2})=(.+)$/.exec(text) ?? [];
  const fromMinute = minuteOf(from);
  const toMinute = minuteOf(to);
  if (fromMinute === undefined || toMinute === undefined || rate === undefined || fromMinute === toMinute) {
    throw new CovaultError('E_BAD_INPUT', `not a rate for some hours: ${JSON.stringify(text)}`, {
      hint: 'write HH:MM-HH:MM=RATE, like 08:00-18:00=2MB, 22:00-06:00=unlimited or 09:00-10:00=off',
    });
  }
  return { fromMinute, toMinute: toMinute % dayMinutes, bytesPerSecond: rate === 'off' ? 0 : parseRate(rate) };
}

const dayMinutes = 24 * 60;

/** Minutes since midnight, up to 24:00. */
function minuteOf(text: string | undefined): number | undefined {
  const [hour, minute] = (text ?? '').split(':').map(Number);
  if (hour === undefined || minute === undefined || minute > 59) return undefined;
  const minutes = hour * 60 + minute;
  return minutes <= dayMinutes ? minutes : undefined;
}
