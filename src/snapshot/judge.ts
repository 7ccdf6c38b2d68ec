/** What the end of a request says about the peer. */
import { CovaultError } from '../core/errors.ts';
import type { Ending } from './scheduler.ts';

/** How a request ended that failed with `error`. */
export function judgeError(error: unknown): Ending {
  if (!(error instanceof CovaultError)) return { kind: 'broken', message: String(error) };
  const { code, message, retryAfterMs } = error;
  switch (code) {
    case 'E_BUSY':
      return { kind: 'busy', message, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
    case 'E_CORRUPT':
      return { kind: 'lied', message };
    case 'E_AUTH':
    case 'E_VERSION':
    case 'E_BAD_INPUT':
    case 'E_TOO_LARGE':
      return { kind: 'refused', message };
    default:
      return { kind: 'broken', message };
  }
}
