/** What a server answers: routes as plain values, so that they can be listed, checked and tested one by one. */
import type { Member, Role } from './member.ts';

export interface Caller extends Member {
  /** SHA-256 of the caller's certificate, 64 hexadecimal digits. */
  fingerprint: string;
}

export interface Call<T = unknown> {
  /** Who asks, as the certificate says; undefined only on routes for anyone. */
  peer: Caller | undefined;
  /** What `parse` made of the request. */
  body: T;
  /** Aborted when the caller goes away or the server closes: the handler should stop. */
  signal: AbortSignal;
}

export type Answer =
  /** One message. */
  | { body: unknown }
  /** A stream of bytes, written at the reader's pace and closed when it is done or given up. */
  | { stream: AsyncIterable<Uint8Array> }
  /** A page for people. */
  | { text: string; contentType: string };

export interface Route<T = unknown> {
  /** POST carries messages of the protocol; GET is for people and has no body. */
  method: 'POST' | 'GET';
  /** "/v1/…" for POST. */
  path: string;
  /** Who is answered; everybody else is refused before the body is read. */
  roles: readonly Role[] | 'anyone';
  /** Largest request in bytes; 0 for GET. */
  bodyBytesMax: number;
  /** Checks the decoded request (untrusted) with `core/shape.ts`; its `E_CORRUPT` reaches the caller as bad input. */
  parse(body: unknown): T;
  /** Throws CovaultError for what the caller should know. */
  handle(call: Call<T>): Promise<Answer>;
}

/** A route whose `handle` gets what its `parse` returns. */
export function route<T>(definition: Route<T>): Route {
  return definition;
}

/** For routes without a request body. */
export function parseNothing(): undefined {
  return undefined;
}

/** The caller of a route that is not for anyone. */
export function callerOf(call: Call): Caller {
  if (call.peer === undefined) throw new Error('invariant broken: a route with roles has a certified caller');
  return call.peer;
}
