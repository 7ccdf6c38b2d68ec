/** What went wrong on the way to another member, in our words. */
import { CovaultError, isCovaultError, systemErrorCode } from '../core/errors.ts';

/** OpenSSL's verdicts on a certificate, and Node's: the other side is there, but not who it must be. */
const distrust = /^(CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|INVALID_|ERR_TLS_|ERR_SSL_|HOSTNAME_MISMATCH|PATH_LENGTH)/;

/**
 * The CovaultError for a failure of a request: `E_INTERRUPTED` if the caller aborted it, `E_AUTH` if the other side's
 * certificate or ours was not accepted, else `E_UNAVAILABLE`. A CovaultError stays what it is.
 *
 * @param options.where the origin that was asked.
 */
export function connectionError(
  error: unknown,
  options: { where: string; caller: AbortSignal | undefined },
): CovaultError {
  if (isCovaultError(error)) return error;
  const { where, caller } = options;
  if (caller?.aborted) return new CovaultError('E_INTERRUPTED', `a request to ${where} was given up`, { cause: error });
  const code = systemErrorCode(error) ?? '';
  if (distrust.test(code)) {
    return new CovaultError('E_AUTH', `${where} is not trusted (${code})`, {
      cause: error,
      hint: 'check that both sides joined the same domain',
    });
  }
  return new CovaultError('E_UNAVAILABLE', `${where} ${reasonOf(error, code)}`, {
    cause: error,
    hint: 'check that it runs and that its address and port can be reached',
  });
}

/** A failure on this side, for display: a defect keeps its message. */
export function ownError(error: unknown): CovaultError {
  return isCovaultError(error) ? error : new CovaultError('E_IO', `unexpected failure: ${error}`, { cause: error });
}

function reasonOf(error: unknown, code: string): string {
  if (error instanceof Error && error.name === 'TimeoutError') return 'did not answer in time';
  switch (code) {
    case 'ECONNREFUSED':
      return 'refuses connections';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'has a name that cannot be resolved';
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'UND_ERR_HEADERS_TIMEOUT':
    case 'UND_ERR_BODY_TIMEOUT':
    case 'ETIMEDOUT':
      return 'did not answer in time';
    case 'UND_ERR_SOCKET':
    case 'ECONNRESET':
    case 'EPIPE':
      return 'broke off the connection';
    default:
      return `cannot be reached (${code || String(error)})`;
  }
}
