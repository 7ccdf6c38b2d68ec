/** What a server does about requests that it does not answer. */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { CovaultError, isCovaultError } from '../core/errors.ts';
import { limits } from '../core/limits.ts';
import { encodeError, messageType, protocolVersion, publicError, versionHeader } from './protocol.ts';

/** Between the answer to broken HTTP and the end of the connection, milliseconds. */
const lingerMs = 500;

/** Whether an error of the HTTP layer blames the request rather than the server. */
export function isCallersFault(error: unknown): error is Error & { statusCode: number } {
  if (!(error instanceof Error) || !('statusCode' in error)) return false;
  const { statusCode } = error;
  return typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500;
}

/** The error that the caller gets to see. */
export function asCovaultError(error: unknown): CovaultError {
  if (isCovaultError(error) || !isCallersFault(error)) return publicError(error);
  return new CovaultError(error.statusCode === 413 ? 'E_TOO_LARGE' : 'E_BAD_INPUT', error.message, { cause: error });
}

/**
 * Reads the rest of a refused request without keeping anything, so that the caller can finish sending and see the
 * answer: a connection closed on unread data is reset, and the answer may be lost.
 *
 * @returns false if more is announced than anybody may send: then the connection should be closed.
 */
export function discardRest(request: IncomingMessage): boolean {
  if (Number(request.headers['content-length'] ?? 0) > limits.requestBytesMax) return false;
  let byteLength = 0;
  request.on('data', (chunk: Buffer) => {
    byteLength += chunk.byteLength;
    if (byteLength > limits.requestBytesMax) request.destroy();
  });
  return true;
}

/** Answers what is not HTTP, or has headers beyond all bounds, in the form of every other error. */
export function answerBrokenHttp(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const large = error.code === 'HPE_HEADER_OVERFLOW';
  const status = large ? '431 Request Header Fields Too Large' : '400 Bad Request';
  const body = encodeError(new CovaultError(large ? 'E_TOO_LARGE' : 'E_BAD_INPUT', 'not a proper HTTP request'));
  const head = [
    `HTTP/1.1 ${status}`,
    'connection: close',
    `content-type: ${messageType}`,
    `content-length: ${body.byteLength}`,
    `${versionHeader}: ${protocolVersion}`,
  ];
  socket.write(Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]));
  // Not at once: what is still unread would reset the connection and take the answer with it.
  const timer = setTimeout(() => socket.destroy(), lingerMs);
  socket.once('close', () => clearTimeout(timer));
}
