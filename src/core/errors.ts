/**
 * The one error class. Every failure that a user or a peer can cause carries a stable code, a sentence that names the
 * path or identifier concerned and, where something can be done, a hint that says what.
 */

/** Stable codes; a code decides the exit status (`exit-codes.ts`) and the HTTP status (`remote/`). */
export type ErrorCode =
  | 'E_BAD_INPUT' // the request or the command line is wrong
  | 'E_NOT_FOUND' // a named thing does not exist
  | 'E_EXISTS' // a thing that must not exist does
  | 'E_CORRUPT' // bytes on disk or from a peer are not what they must be
  | 'E_VERSION' // a newer or foreign format or protocol
  | 'E_AUTH' // wrong password, missing or wrong certificate, wrong role
  | 'E_BUSY' // somebody else holds it, or a limit is reached; try again later
  | 'E_TOO_LARGE' // beyond a limit of `limits.ts`
  | 'E_UNAVAILABLE' // a peer or the repository cannot be reached
  | 'E_NO_HOLDER' // no reachable holder has a needed block
  | 'E_NO_SPACE' // the disk is full
  | 'E_IO' // the operating system refused
  | 'E_MOUNT' // mounting or unmounting failed
  | 'E_REQUIREMENT' // something needed is missing on this machine
  | 'E_INCOMPLETE' // done, with named exceptions
  | 'E_INTERRUPTED'; // stopped by the user or by a signal

export interface ErrorDetails {
  /** What the user can do about it, an imperative sentence without a final full stop. */
  hint?: string;
  cause?: unknown;
  /** Of `E_BUSY`: when it may be worth trying again, milliseconds from now. */
  retryAfterMs?: number;
}

export class CovaultError extends Error {
  override readonly name = 'CovaultError';
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.hint = details.hint;
    this.retryAfterMs = details.retryAfterMs;
  }
}

export function isCovaultError(error: unknown, code?: ErrorCode): error is CovaultError {
  return error instanceof CovaultError && (code === undefined || error.code === code);
}

/** The `code` of a Node.js system error ("ENOENT"), or undefined for anything else. */
export function systemErrorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? (namesOfUnknown.get(error.code) ?? error.code) : undefined;
}

/** Linux's errors of files for which libuv, and so Node.js, has no name. */
const namesOfUnknown = new Map([
  ['Unknown system error -116', 'ESTALE'],
  ['Unknown system error -117', 'EUCLEAN'],
  ['Unknown system error -122', 'EDQUOT'],
]);

/**
 * The error for a failed call to the operating system: `E_NO_SPACE` for a full disk or quota, `E_NOT_FOUND` for an
 * absent file, else `E_IO`. A CovaultError comes back unchanged.
 *
 * @param action what was tried, as a sentence's end: "write /path/to/file".
 */
export function ioError(cause: unknown, action: string): CovaultError {
  if (cause instanceof CovaultError) return cause;
  const code = systemErrorCode(cause) ?? 'unknown error';
  const message = `cannot ${action}: ${code}`;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new CovaultError('E_NO_SPACE', message, {
      cause,
      hint: 'free some space on that file system and try again',
    });
  }
  if (code === 'ENOENT') return new CovaultError('E_NOT_FOUND', message, { cause });
  if (code === 'EACCES' || code === 'EPERM') {
    return new CovaultError('E_IO', message, { cause, hint: 'check the owner and the permissions of that path' });
  }
  return new CovaultError('E_IO', message, { cause });
}

/** @throws CovaultError `E_INTERRUPTED` once `signal` is aborted; its reason is the cause. */
export function checkInterrupted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new CovaultError('E_INTERRUPTED', 'interrupted', { cause: signal.reason });
}

/** States what must hold whatever the input was; its failure is a defect of Covault, not of the input. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`invariant broken: ${message}`);
}
