/**
 * The protocol spoken between members: names of headers, versions, and how errors travel. Byte tables are in
 * `docs/design/wire.md`.
 */
import { decode, encode } from '../core/codec.ts';
import { CovaultError, type ErrorCode, isCovaultError } from '../core/errors.ts';
import { asRecord, asText } from '../core/shape.ts';

/** Both sides send it with every message; they must be equal. */
export const protocolVersion = 1;
export const versionHeader = 'covault-protocol';
/** HTTP's own: whole seconds until it is worth asking again, for whoever does not read the message. */
export const retryHeader = 'retry-after';
/** Longest time for which anybody is believed to be busy: a day. */
const retryAfterMsMax = 24 * 60 * 60 * 1000;

/** One msgpack value. */
export const messageType = 'application/x-covault-msgpack';
/** A stream whose form the route decides (mostly `framing.ts`). */
export const streamType = 'application/x-covault-stream';

const statusByCode: Record<ErrorCode, number> = {
  E_BAD_INPUT: 400,
  E_NOT_FOUND: 404,
  E_EXISTS: 409,
  E_CORRUPT: 500,
  E_VERSION: 426,
  E_AUTH: 403,
  E_BUSY: 503,
  E_TOO_LARGE: 413,
  E_UNAVAILABLE: 502,
  E_NO_HOLDER: 502,
  E_NO_SPACE: 507,
  E_IO: 500,
  E_MOUNT: 500,
  E_REQUIREMENT: 500,
  E_INCOMPLETE: 500,
  E_INTERRUPTED: 503,
};

export function statusOf(code: ErrorCode): number {
  return statusByCode[code];
}

function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(statusByCode, text);
}

/** What the other side may know of an error: nothing of a defect but that it happened. */
export function publicError(error: unknown): CovaultError {
  return isCovaultError(error) ? error : new CovaultError('E_IO', 'the other side failed unexpectedly');
}

/** The plain form of an error: `{code, message, hint, retryAfterMs}`, the last if known; causes and stacks stay at home. */
export function packError(error: CovaultError): Record<string, unknown> {
  const { code, message, hint, retryAfterMs } = error;
  return { code, message, hint: hint ?? null, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
}

/** The value of `retryHeader` for this error, if it has one. */
export function retryHeaderOf(error: CovaultError): string | undefined {
  return error.retryAfterMs === undefined ? undefined : String(Math.ceil(error.retryAfterMs / 1000));
}

/** A time to wait that the other side asked for, within bounds; what is no such time is left out. */
function boundedRetry(value: unknown): { retryAfterMs?: number } {
  if (typeof value !== 'number' || !(value >= 0)) return {};
  return { retryAfterMs: Math.min(retryAfterMsMax, value) };
}

/**
 * The inverse of `packError` for what came from elsewhere; never throws.
 *
 * @param header of the answer, `retryHeader`: counts if the message does not say more.
 */
export function unpackError(value: unknown, header?: string | string[] | undefined): CovaultError {
  try {
    const fields = asRecord(value, 'error');
    const code = asText(fields.code, 'error code', 40);
    const message = asText(fields.message, 'error message');
    const hint = fields.hint === null ? undefined : asText(fields.hint, 'hint');
    const said = boundedRetry(fields.retryAfterMs);
    const retry = typeof header === 'string' && /^\d{1,9}$/.test(header) ? boundedRetry(Number(header) * 1000) : {};
    if (isErrorCode(code))
      return new CovaultError(code, message, { ...(hint === undefined ? {} : { hint }), ...retry, ...said });
    return new CovaultError('E_VERSION', `${message} (${code})`);
  } catch (cause) {
    return new CovaultError('E_CORRUPT', 'the other side sent an error that cannot be read', { cause });
  }
}

/** @throws CovaultError `E_VERSION` if `header` is not the version spoken here. */
export function checkVersion(header: string | string[] | undefined, who: string): void {
  if (header === String(protocolVersion)) return;
  throw new CovaultError('E_VERSION', `${who} speaks protocol ${String(header ?? 'none')}, not ${protocolVersion}`, {
    hint: 'use the same release of covault on both sides',
  });
}

/** @throws CovaultError `E_BAD_INPUT`, or `E_CORRUPT` if `parse` threw something else than that. */
export function parseMessage<T>(bytes: Uint8Array, parse: (value: unknown) => T): T {
  try {
    return parse(bytes.byteLength === 0 ? undefined : decode(bytes, 'request'));
  } catch (error) {
    if (!isCovaultError(error, 'E_CORRUPT')) throw error;
    throw new CovaultError('E_BAD_INPUT', `malformed request: ${error.message}`, { cause: error });
  }
}

export function encodeError(error: CovaultError): Uint8Array {
  return encode(packError(error));
}
