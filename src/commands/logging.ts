/** What a daemon says about itself, as JSON lines on standard error. The only import of `pino`. */
import { destination, type Logger, pino } from 'pino';
import { CovaultError, isCovaultError } from '../core/errors.ts';

export type { Logger } from 'pino';

export const logLevels = ['silent', 'error', 'warn', 'info', 'debug', 'trace'] as const;
export const defaultLogLevel = 'warn';

/** @throws CovaultError `E_BAD_INPUT` if `level` is none of `logLevels`. */
export function openLog(level: string): Logger {
  if (!(logLevels as readonly string[]).includes(level)) {
    throw new CovaultError('E_BAD_INPUT', `unknown log level ${level}`, { hint: `use one of ${logLevels.join(', ')}` });
  }
  const serializers = { error: describeError };
  return pino({ level, base: null, serializers }, destination({ dest: 2, sync: true }));
}

/** Codes and causes of what is expected; the stack only of defects. */
function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? { cause: error.cause.message } : {};
  if (isCovaultError(error)) return { code: error.code, message: error.message, ...cause };
  return { message: error.message, stack: error.stack, ...cause };
}
