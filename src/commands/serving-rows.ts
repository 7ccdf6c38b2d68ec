/** The lines of `covault status` about what others may take and have taken. */
import { asRecord } from '../core/shape.ts';
import type { ServingStatus } from '../snapshot/serve.ts';
import type { GateStatus } from '../snapshot/serving-gate.ts';
import { formatBytes, formatCount, formatSeconds } from './sizes.ts';

/** @param value the field `serving` of a status, as JSON brought it. */
export function servingRows(value: unknown): string[][] {
  const { slots, bytesPerSecond, paused, month, served, openCuts } = asRecord(
    value,
    'serving',
  ) as unknown as ServingStatus;
  const rate = bytesPerSecond === undefined ? 'no bound of speed' : `at most ${formatBytes(bytesPerSecond)} a second`;
  const cuts = openCuts > 0 ? `, ${formatCount(openCuts)} cuts open` : '';
  return [
    [
      'serving',
      paused === undefined ? `${slots.taken} of ${slots.total} slots taken, ${rate}${cuts}` : pauseOf(paused),
    ],
    ['', `${monthOf(month)}, to ${formatCount(served.length)} members since the start`],
  ];
}

function pauseOf({ message, retryAfterMs }: NonNullable<GateStatus['paused']>): string {
  return `PAUSED: ${message}; others are asked to come again in ${formatSeconds(retryAfterMs / 1000)}`;
}

function monthOf({ bytes, bytesMax }: GateStatus['month']): string {
  const bound = bytesMax === undefined ? '' : ` of ${formatBytes(bytesMax)}`;
  return `${formatBytes(bytes)}${bound} sent this month`;
}
