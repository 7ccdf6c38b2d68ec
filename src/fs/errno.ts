/** Which errno a failed answer of a read-only tree becomes; the only place that decides it. */
import { constants } from 'node:os';
import { type ErrorCode, isCovaultError, systemErrorCode } from '../core/errors.ts';

const byErrorCode: Partial<Record<ErrorCode, number>> = {
  E_NOT_FOUND: constants.errno.ENOENT,
  E_BAD_INPUT: constants.errno.EINVAL,
  E_AUTH: constants.errno.EACCES,
  E_BUSY: constants.errno.EBUSY,
  E_TOO_LARGE: constants.errno.EFBIG,
  E_NO_SPACE: constants.errno.ENOSPC,
  E_INTERRUPTED: constants.errno.EINTR,
};

const byName = new Map<string, number>(Object.entries(constants.errno));

/** A positive errno: that of a system error, one that fits a `CovaultError`, `EIO` for anything else. */
export function errnoOf(error: unknown): number {
  if (isCovaultError(error)) return byErrorCode[error.code] ?? constants.errno.EIO;
  return byName.get(systemErrorCode(error) ?? '') ?? constants.errno.EIO;
}
