/** Requests below the level of our client, for tests of what a server makes of strangers and of nonsense. */

import { once } from 'node:events';
import type { IncomingHttpHeaders } from 'node:http';
import { request } from 'node:https';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { decode } from '../../src/core/codec.ts';
import type { Identity } from '../../src/remote/identity.ts';
import { messageType, protocolVersion, versionHeader } from '../../src/remote/protocol.ts';

/** What to present to the server; without certificate and key: nothing. */
export type Credentials = Pick<Identity, 'authorityPem'> & Partial<Identity>;

export interface RawAnswer {
  status: number;
  contentType: string;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

export interface RawRequest {
  method?: string;
  path: string;
  headers?: Record<string, string>;
  /** Sent with its length, or in chunks if it is a list. */
  body?: Uint8Array | Uint8Array[];
}

function tlsOptions(credentials: Credentials): ConnectionOptions {
  return {
    ca: credentials.authorityPem,
    ...(credentials.certificatePem === undefined ? {} : { cert: credentials.certificatePem }),
    ...(credentials.privateKeyPem === undefined ? {} : { key: credentials.privateKeyPem }),
    checkServerIdentity: () => undefined,
  };
}

/** The headers that our client sends. */
export const properHeaders = { 'content-type': messageType, [versionHeader]: String(protocolVersion) };

/** Sends one request on a connection of its own and reads the whole answer. */
export function rawRequest(url: string, credentials: Credentials, options: RawRequest): Promise<RawAnswer> {
  const { method = 'POST', path, headers = properHeaders, body = new Uint8Array(0) } = options;
  const chunked = Array.isArray(body);
  return new Promise((resolve, reject) => {
    const sent = request(
      `${url}${path}`,
      {
        ...tlsOptions(credentials),
        agent: false,
        method,
        headers: chunked ? headers : { ...headers, 'content-length': String(body.byteLength) },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            contentType: response.headers['content-type'] ?? '',
            headers: response.headers,
            body: Buffer.concat(chunks),
          }),
        );
      },
    );
    sent.on('error', reject);
    if (chunked) for (const chunk of body) sent.write(chunk);
    else sent.write(body);
    sent.end();
  });
}

/** A TLS socket on which anything may be written. */
export async function rawSocket(
  url: string,
  credentials: Credentials,
  options: ConnectionOptions = {},
): Promise<TLSSocket> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), ...tlsOptions(credentials), ...options });
  await once(socket, 'secureConnect');
  return socket;
}

/** Everything the other side sends until it closes. */
export async function readToEnd(socket: TLSSocket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.on('error', () => undefined);
  if (!socket.destroyed) await once(socket, 'close');
  return Buffer.concat(chunks);
}

/** The code in an error's body. */
export function errorCodeIn(body: Uint8Array): unknown {
  return (decode(body, 'error') as { code?: unknown }).code;
}
