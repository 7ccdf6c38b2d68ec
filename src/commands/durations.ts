/** Durations on the command line. The only import of `ms`. */
import ms, { type StringValue } from 'ms';
import { CovaultError } from '../core/errors.ts';

/**
 * Milliseconds of "90s", "10m", "2h", "7d".
 *
 * @throws CovaultError `E_BAD_INPUT` for anything else, nothing and negative ones included.
 */
export function parseDuration(text: string): number {
  const milliseconds = /^\d+(\.\d+)?\s*[a-z]+$/i.test(text) ? ms(text as StringValue) : undefined;
  if (milliseconds === undefined || !(milliseconds > 0)) {
    throw new CovaultError('E_BAD_INPUT', `not a duration: ${JSON.stringify(text)}`, {
      hint: 'write a number and a unit, like 90s, 10m, 2h or 7d',
    });
  }
  return milliseconds;
}
