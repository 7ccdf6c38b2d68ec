/**
 * Pools of HTTP sockets. The only import of undici, and only of its parts for that: all of it, with `fetch`, WebSocket
 * and caches, takes a tenth of a second to load, a third of what a short command takes.
 */
import { createRequire } from 'node:module';
import type { Dispatcher, Pool } from 'undici';

export type HttpAnswer = Dispatcher.ResponseData;

type Request = (this: Dispatcher, options: Dispatcher.RequestOptions) => Promise<HttpAnswer>;

const load = createRequire(import.meta.url);
const PoolClass = load('undici/lib/dispatcher/pool.js') as typeof Pool;
const requestOf = load('undici/lib/api/api-request.js') as Request;

export interface HttpPool {
  request(options: Dispatcher.RequestOptions): Promise<HttpAnswer>;
  /** Fails what is under way. */
  destroy(): Promise<void>;
}

export function openHttpPool(origin: string, options: Pool.Options): HttpPool {
  const pool = new PoolClass(origin, options);
  return { request: (request) => requestOf.call(pool, request), destroy: () => pool.destroy() };
}
