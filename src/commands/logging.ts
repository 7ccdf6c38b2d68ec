/** What a daemon says about itself, as JSON lines on standard error. The only import of `pino`. */
import { createRequire } from 'node:module';
import type { Logger as PinoLogger } from 'pino';
import { CovaultError, isCovaultError } from '../core/errors.ts';

const said = ['error', 'warn', 'info', 'debug', 'trace'] as const;
export const logLevels = ['silent', ...said] as const;
export const defaultLogLevel = 'warn';

export type Logger = Pick<PinoLogger, (typeof said)[number]>;

/** @throws CovaultError `E_BAD_INPUT` if `level` is none of `logLevels`. */
export function openLog(level: string): Logger {
  if (!(logLevels as readonly string[]).includes(level)) {
    throw new CovaultError('E_BAD_INPUT', `unknown log level ${level}`, { hint: `use one of ${logLevels.join(', ')}` });
  }
  let opened: PinoLogger | undefined;
  const methods = said.map((method, rank): [string, (fields: object, text?: string) => void] => {
    if (rank >= logLevels.indexOf(level as (typeof logLevels)[number])) return [method, () => undefined];
    return [
      method,
      (...words) => {
        opened ??= openPino(level);
        opened[method](...words);
      },
    ];
  });
  return Object.fromEntries(methods) as Logger;
}

/** Loaded when there is something to say, which most commands never have. */
function openPino(level: string): PinoLogger {
  const { destination, pino } = createRequire(import.meta.url)('pino') as typeof import('pino');
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
