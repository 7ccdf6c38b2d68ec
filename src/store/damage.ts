/** Damage that is met on the way: named, and gone past. */
import { type CovaultError, isCovaultError } from '../core/errors.ts';

/** Something that is not as it should be, found on the way; work goes on. */
export interface StoreNotice {
  /** Name of the file within the store. */
  file: string;
  message: string;
}

/** Whether an error says that stored bytes cannot be had: damaged, of an unknown version, or on a bad sector. */
export function saysDamage(error: unknown): error is CovaultError {
  return ['E_CORRUPT', 'E_VERSION', 'E_IO'].includes(isCovaultError(error) ? error.code : '');
}
