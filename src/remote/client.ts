/**
 * Connections to other members.
 *
 * A connection is made to a member, not to a host: the certificate must come from the domain's authority and name the
 * member that is expected, wherever it listens.
 */
import type { DetailedPeerCertificate, PeerCertificate } from 'node:tls';
import { decode, encode } from '../core/codec.ts';
import { CovaultError } from '../core/errors.ts';
import { limits } from '../core/limits.ts';
import { connectionError } from './connection-error.ts';
import { withDeadline } from './deadline.ts';
import { type HttpAnswer, type HttpPool, openHttpPool } from './http-pool.ts';
import type { Identity } from './identity.ts';
import type { Member } from './member.ts';
import { checkVersion, messageType, protocolVersion, retryHeader, unpackError, versionHeader } from './protocol.ts';
import { memberOfCertificate } from './read-certificate.ts';

export interface ConnectionOptions {
  /** Ours; without certificate and key only the routes for anyone answer. */
  identity: Pick<Identity, 'authorityPem'> & Partial<Pick<Identity, 'certificatePem' | 'privateKeyPem'>>;
  /** "https://HOST:PORT". */
  url: string;
  /** Whom the other side's certificate must name. */
  expect: Partial<Member>;
  /** Sockets at most; requests beyond them wait. */
  connections?: number;
  /** For TCP and TLS together, milliseconds. */
  connectMs?: number;
}

export interface CallOptions {
  signal?: AbortSignal;
  /** For the whole answer (of a stream: for its beginning), milliseconds. */
  timeoutMs?: number;
}

/** A pool of sockets to one member, opened when needed and kept alive. */
export interface Connection {
  readonly url: string;
  /**
   * Sends one message and returns the decoded answer, untrusted.
   *
   * @throws CovaultError what the other side answered; `E_UNAVAILABLE`, `E_AUTH`, `E_VERSION`, `E_TOO_LARGE`,
   *   `E_CORRUPT`, `E_INTERRUPTED`.
   */
  call(path: string, body: unknown, options?: CallOptions & { answerBytesMax?: number }): Promise<unknown>;
  /**
   * Sends one message and yields the bytes of the answer as they come. What is not taken stays with the sender: no
   * more than about one socket buffer waits here. Leaving the loop early frees both sides. An answer that stops before
   * its end throws `E_UNAVAILABLE`.
   *
   * @param options.idleMs longest wait for further bytes.
   */
  stream(path: string, body: unknown, options?: CallOptions & { idleMs?: number }): AsyncGenerator<Uint8Array>;
  /** Fails what is under way and closes the sockets. Idempotent. */
  close(): Promise<void>;
}

const defaults = { connections: 4, connectMs: 10_000, timeoutMs: 30_000, idleMs: 30_000 } as const;
/** Idle sockets are closed after this, before the server would do it. */
const keepAliveMs = 20_000;

/** Checks `url` and prepares a pool; nothing is sent before the first call. */
export function openConnection(options: ConnectionOptions): Connection {
  const { identity } = options;
  const origin = checkedOrigin(options.url);
  const pool = openHttpPool(origin, {
    allowH2: false,
    pipelining: 1,
    connections: options.connections ?? defaults.connections,
    keepAliveTimeout: keepAliveMs,
    keepAliveMaxTimeout: keepAliveMs,
    connect: {
      ca: identity.authorityPem,
      ...(identity.certificatePem === undefined ? {} : { cert: identity.certificatePem }),
      ...(identity.privateKeyPem === undefined ? {} : { key: identity.privateKeyPem }),
      minVersion: 'TLSv1.3',
      rejectUnauthorized: true,
      checkServerIdentity: (_host: string, certificate: PeerCertificate) => unexpected(certificate, options),
      // A resumed session would skip the check of who answers.
      maxCachedSessions: 0,
      timeout: options.connectMs ?? defaults.connectMs,
    },
  });
  return {
    url: origin,
    call: (path, body, callOptions = {}) => call({ pool, origin }, path, body, callOptions),
    stream: (path, body, callOptions = {}) => stream({ pool, origin }, path, body, callOptions),
    close: () => pool.destroy(),
  };
}

/**
 * The origin of a member's URL.
 *
 * @throws CovaultError `E_BAD_INPUT` if it is anything but "https://HOST:PORT".
 */
export function checkedOrigin(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const plain = parsed && parsed.pathname === '/' && !parsed.search && !parsed.hash && !parsed.username;
  if (parsed?.protocol !== 'https:' || !plain || url.length > 300) {
    throw new CovaultError('E_BAD_INPUT', `not the address of a member: ${url.slice(0, 300)}`, {
      hint: 'give it as https://HOST:PORT',
    });
  }
  return parsed.origin;
}

function unexpected(certificate: PeerCertificate, options: ConnectionOptions): CovaultError | undefined {
  const member = memberOfCertificate((certificate as DetailedPeerCertificate).raw);
  const { name, role } = options.expect;
  if (member && (name ?? member.name) === member.name && (role ?? member.role) === member.role) return undefined;
  const found = member ? `${member.role} ${member.name}` : 'nobody of a domain';
  const expected = [role, name].filter((part) => part !== undefined).join(' ') || 'a member';
  return new CovaultError('E_AUTH', `${options.url} is ${found}, expected ${expected}`);
}

interface Target {
  pool: HttpPool;
  origin: string;
}

async function call(
  target: Target,
  path: string,
  body: unknown,
  options: CallOptions & { answerBytesMax?: number },
): Promise<unknown> {
  try {
    return await withDeadline(options.timeoutMs ?? defaults.timeoutMs, options.signal, async (signal) => {
      // The signal is the only limit of time here: it covers connecting, waiting and reading.
      const answer = await request(target, path, body, { signal, headersTimeout: 0, bodyTimeout: 0 });
      const bytes = await collect(answer.body, options.answerBytesMax ?? limits.answerBytesMax);
      checkAnswer(answer, bytes, target.origin);
      return decode(bytes, `answer of ${target.origin}`);
    });
  } catch (error) {
    throw connectionError(error, { where: target.origin, caller: options.signal });
  }
}

async function* stream(
  target: Target,
  path: string,
  body: unknown,
  options: CallOptions & { idleMs?: number },
): AsyncGenerator<Uint8Array> {
  try {
    const answer = await request(target, path, body, {
      headersTimeout: options.timeoutMs ?? defaults.timeoutMs,
      bodyTimeout: options.idleMs ?? defaults.idleMs,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    const failed = answer.statusCode !== 200;
    checkAnswer(answer, failed ? await collect(answer.body, limits.requestBytesMax) : undefined, target.origin);
    yield* answer.body as AsyncIterable<Uint8Array>;
  } catch (error) {
    throw connectionError(error, { where: target.origin, caller: options.signal });
  }
}

function request(
  target: Target,
  path: string,
  body: unknown,
  options: { signal?: AbortSignal; headersTimeout: number; bodyTimeout: number },
): Promise<HttpAnswer> {
  const bytes = encode(body);
  if (bytes.byteLength > limits.requestBytesMax) {
    throw new CovaultError('E_TOO_LARGE', `a request of ${bytes.byteLength} bytes to ${path}`);
  }
  return target.pool.request({
    ...options,
    path,
    method: 'POST',
    headers: { 'content-type': messageType, [versionHeader]: String(protocolVersion) },
    body: bytes,
  });
}

/** All of a body that is small by contract; the rest of one that is not is never read. */
async function collect(body: AsyncIterable<Uint8Array>, bytesMax: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let byteLength = 0;
  for await (const chunk of body) {
    byteLength += chunk.byteLength;
    if (byteLength > bytesMax) throw new CovaultError('E_TOO_LARGE', `an answer of more than ${bytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, byteLength);
}

/** @throws CovaultError the error in `bytes` unless the answer is a success of our protocol. */
function checkAnswer(answer: HttpAnswer, bytes: Uint8Array | undefined, where: string): void {
  checkVersion(answer.headers[versionHeader], where);
  if (answer.statusCode === 200) return;
  throw unpackError(decode(bytes ?? new Uint8Array(0), `error of ${where}`), answer.headers[retryHeader]);
}
