/**
 * HTTPS with mutual TLS 1.3. The only import of fastify.
 *
 * Every request passes one gate before its body is read: no route, no answer; no authorised certificate of a role that
 * the route lists, no answer. TLS itself lets strangers in, only so that they can be told why they are refused and so
 * that a machine without a certificate can join.
 */
import { constants } from 'node:crypto';
import type { Server as HttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import Fastify, {
  type FastifyHttpsOptions,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify';
import { encode } from '../core/codec.ts';
import { CovaultError, invariant, isCovaultError } from '../core/errors.ts';
import { limits } from '../core/limits.ts';
import { writeStream } from './answer-stream.ts';
import type { Identity } from './identity.ts';
import {
  checkVersion,
  encodeError,
  messageType,
  parseMessage,
  protocolVersion,
  retryHeader,
  retryHeaderOf,
  statusOf,
  streamType,
  versionHeader,
} from './protocol.ts';
import { certificateFingerprint, memberOfCertificate } from './read-certificate.ts';
import { answerBrokenHttp, asCovaultError, discardRest, isCallersFault } from './refusal.ts';
import { type Caller, parseNothing, type Route, route } from './route.ts';
import { RunningRequests } from './running-requests.ts';

export interface ServerOptions {
  identity: Identity;
  /** Address to listen on, "127.0.0.1" or "::" for example. */
  host: string;
  /** 0 takes any free port. */
  port: number;
  routes: readonly Route[];
  /** Throws `E_AUTH` for a caller that is certified but not welcome any more. */
  admit?(caller: Caller): void;
  /** Told of every error that is not a CovaultError: a defect. */
  onDefect?(error: unknown, path: string): void;
  /** How long the reader of a stream may take nothing, in milliseconds. */
  stallMs?: number;
  /** How long `close` lets requests under way finish, in milliseconds. */
  closeGraceMs?: number;
}

export interface Server {
  /** "https://HOST:PORT" with the address it listens on. */
  url: string;
  port: number;
  /** Takes no more requests, lets those under way finish for a while, aborts the rest. Idempotent. */
  close(): Promise<void>;
}

const bounds = {
  headerBytesMax: 8 * 1024,
  headersMs: 10_000,
  handshakeMs: 10_000,
  /** For a whole request: 4 MiB over a link of 0.5 Mbit/s. */
  requestMs: 90_000,
  /** Above the clients' own, so that they are the ones to close an idle connection. */
  keepAliveMs: 75_000,
  connectionsMax: 1024,
  stallMs: 60_000,
  closeGraceMs: 5_000,
} as const;

const health: Route = route({
  method: 'GET',
  path: '/health',
  roles: 'anyone',
  bodyBytesMax: 0,
  parse: parseNothing,
  handle: async () => ({ text: 'ok\n', contentType: 'text/plain; charset=utf-8' }),
});

/**
 * Starts a server for `routes` and for `GET /health`, which answers on loopback alone.
 *
 * @throws CovaultError `E_UNAVAILABLE` if it cannot listen there.
 */
export async function startServer(options: ServerOptions): Promise<Server> {
  const app = createApp(options.identity);
  const running = new RunningRequests();
  app.addContentTypeParser(messageType, { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.setNotFoundHandler((request, reply) => {
    sendError(request, reply, new CovaultError('E_NOT_FOUND', `no route ${request.method} ${pathOf(request)}`));
  });
  app.setErrorHandler((error, request, reply) => {
    if (!isCovaultError(error) && !isCallersFault(error)) options.onDefect?.(error, pathOf(request));
    sendError(request, reply, asCovaultError(error));
  });
  app.addHook('onRequest', async (request) => {
    running.check();
    gate(request, options);
  });
  for (const definition of [...options.routes, health]) addRoute(app, definition, options, running);
  await listen(app, options);
  return listening(app, options, running);
}

function createApp(identity: Identity): FastifyInstance {
  const options: FastifyHttpsOptions<HttpsServer> = {
    https: {
      key: identity.privateKeyPem,
      // The authority comes along, for those who join and know only its fingerprint.
      cert: identity.certificatePem + identity.authorityPem,
      ca: identity.authorityPem,
      minVersion: 'TLSv1.3',
      requestCert: true,
      rejectUnauthorized: false,
      // No resumed sessions: every connection shows its certificate anew.
      secureOptions: constants.SSL_OP_NO_TICKET,
      handshakeTimeout: bounds.handshakeMs,
      maxHeaderSize: bounds.headerBytesMax,
      connectionsCheckingInterval: 2_000,
    },
    bodyLimit: limits.requestBytesMax,
    requestTimeout: bounds.requestMs,
    keepAliveTimeout: bounds.keepAliveMs,
    exposeHeadRoutes: false,
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    clientErrorHandler: answerBrokenHttp,
    frameworkErrors: (error, request, reply) =>
      sendError(request as unknown as FastifyRequest, reply as unknown as FastifyReply, asCovaultError(error)),
  };
  const app = Fastify(options) as unknown as FastifyInstance;
  app.server.headersTimeout = bounds.headersMs;
  app.server.maxConnections = bounds.connectionsMax;
  app.removeAllContentTypeParsers();
  return app;
}

function addRoute(app: FastifyInstance, definition: Route, options: ServerOptions, running: RunningRequests): void {
  app.route({
    method: definition.method,
    url: definition.path,
    // Fastify wants a limit above zero; a GET's body is never read.
    bodyLimit: Math.max(1, definition.bodyBytesMax),
    config: { route: definition },
    handler: (request, reply) => answer(definition, request, reply, options, running.begin(reply.raw)),
  });
}

/** Default deny: what is not allowed here gets no further. */
function gate(request: FastifyRequest, options: ServerOptions): void {
  const definition = (request.routeOptions.config as { route?: Route }).route;
  if (definition === health && !isLoopback(request.socket)) throw new CovaultError('E_AUTH', 'loopback only');
  const caller = certifiedCaller(request.socket as TLSSocket);
  if (definition?.roles !== 'anyone') {
    if (caller === undefined) {
      throw new CovaultError('E_AUTH', 'this server answers only members of its domain', {
        hint: 'join the domain first: covault join',
      });
    }
    options.admit?.(caller);
    if (definition !== undefined && !definition.roles.includes(caller.role)) {
      throw new CovaultError('E_AUTH', `a ${caller.role} may not use ${definition.path}`);
    }
  }
  if (definition?.method === 'POST') checkVersion(request.headers[versionHeader], 'the caller');
}

function certifiedCaller(socket: TLSSocket): Caller | undefined {
  if (!socket.authorized) return undefined;
  const certificate = socket.getPeerX509Certificate();
  const member = certificate && memberOfCertificate(certificate.raw);
  if (!certificate || !member) return undefined;
  const fingerprint = Buffer.from(certificateFingerprint(certificate.raw)).toString('hex');
  return { name: member.name, role: member.role, fingerprint };
}

async function answer(
  definition: Route,
  request: FastifyRequest,
  reply: FastifyReply,
  options: ServerOptions,
  signal: AbortSignal,
): Promise<void> {
  const body = parseMessage((request.body as Buffer | undefined) ?? new Uint8Array(0), definition.parse);
  const peer = definition.roles === 'anyone' ? undefined : certifiedCaller(request.socket as TLSSocket);
  const result = await definition.handle({ peer, body, signal });
  reply.header(versionHeader, String(protocolVersion));
  if ('stream' in result) {
    await answerStream(result.stream, reply, { signal, stallMs: options.stallMs ?? bounds.stallMs });
  } else if ('text' in result) {
    await reply.type(result.contentType).send(result.text);
  } else {
    await reply.type(messageType).send(encode(result.body));
  }
}

async function answerStream(
  stream: AsyncIterable<Uint8Array>,
  reply: FastifyReply,
  options: { signal: AbortSignal; stallMs: number },
): Promise<void> {
  const chunks = stream[Symbol.asyncIterator]();
  // What fails before the first chunk still gets a proper error status.
  const first = await chunks.next();
  reply.hijack();
  reply.raw.writeHead(200, { 'content-type': streamType, [versionHeader]: String(protocolVersion) });
  // The error is known to the reader by the cut connection; the sender has nobody else to tell.
  await writeStream(reply.raw, first, chunks, options).catch(() => undefined);
}

function sendError(request: FastifyRequest, reply: FastifyReply, error: CovaultError): void {
  if (!request.raw.complete && !discardRest(request.raw)) reply.header('connection', 'close');
  const retryAfter = retryHeaderOf(error);
  if (retryAfter !== undefined) reply.header(retryHeader, retryAfter);
  reply
    .code(statusOf(error.code))
    .header(versionHeader, String(protocolVersion))
    .type(messageType)
    .send(Buffer.from(encodeError(error)));
}

function isLoopback(socket: Socket): boolean {
  const address = socket.remoteAddress ?? '';
  return address === '::1' || /^(::ffff:)?127\./.test(address);
}

function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0]?.slice(0, 200) ?? '';
}

async function listen(app: FastifyInstance, options: ServerOptions): Promise<void> {
  try {
    await app.listen({ host: options.host, port: options.port });
  } catch (cause) {
    await app.close();
    throw new CovaultError('E_UNAVAILABLE', `cannot listen on ${options.host} port ${options.port}`, {
      cause,
      hint: 'choose another port or address, or stop what listens there',
    });
  }
}

function listening(app: FastifyInstance, options: ServerOptions, running: RunningRequests): Server {
  const address = app.server.address();
  invariant(address !== null && typeof address === 'object', 'a server listens on an address');
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  let closed: Promise<void> | undefined;
  const close = async () => {
    running.refuseMore();
    const timer = setTimeout(() => {
      running.abortAll();
      app.server.closeAllConnections();
    }, options.closeGraceMs ?? bounds.closeGraceMs);
    await app.close();
    clearTimeout(timer);
  };
  return {
    url: `https://${host}:${address.port}`,
    port: address.port,
    close() {
      closed ??= close();
      return closed;
    },
  };
}
