/** `Connection` of `remote/client.ts` over the simulated network: the same limits of time, the same errors. */
import { CovaultError } from '../../src/core/errors.ts';
import type { CallOptions, Connection } from '../../src/remote/client.ts';
import { connectionError } from '../../src/remote/connection-error.ts';
import { withDeadline } from '../../src/remote/deadline.ts';
import { type Ends, Exchange } from './exchange.ts';
import type { Host, SimNetwork } from './network.ts';
import type { SimProcess } from './process.ts';

const defaults = { timeoutMs: 30_000, idleMs: 30_000 } as const;

/** A connection of `process`, which runs on `from`, to whoever listens at `url`. */
export function connectTo(url: string, caller: { network: SimNetwork; from: Host; process: SimProcess }): Connection {
  const { network, from, process } = caller;
  const closed = new AbortController();
  const ends: Ends = { network, from, process, to: network.hostOf(url), url };
  return {
    url,
    call: (path, body, options = {}) => process.guard(call(ends, { path, body, options, closed: closed.signal })),
    stream: (path, body, options = {}) => stream(ends, { path, body, options, closed: closed.signal }),
    async close() {
      closed.abort(new CovaultError('E_UNAVAILABLE', `the connection to ${url} is closed`));
    },
  };
}

interface Asked {
  path: string;
  body: unknown;
  options: CallOptions & { idleMs?: number };
  closed: AbortSignal;
}

async function call(ends: Ends, { path, body, options, closed }: Asked): Promise<unknown> {
  const exchange = new Exchange(ends, path);
  try {
    const act = async (signal: AbortSignal) => {
      const answer = await unless(exchange.ask(body), [signal, closed]);
      if (!('body' in answer)) throw new CovaultError('E_CORRUPT', 'a stream came instead of a message');
      return answer.body;
    };
    return await withDeadline(options.timeoutMs ?? defaults.timeoutMs, options.signal, act, ends.process);
  } catch (error) {
    throw connectionError(error, { where: ends.to.name, caller: options.signal });
  } finally {
    exchange.leave();
  }
}

async function* stream(ends: Ends, { path, body, options, closed }: Asked): AsyncGenerator<Uint8Array> {
  const { process } = ends;
  const exchange = new Exchange(ends, path);
  const within = <T>(ms: number, work: () => Promise<T>) =>
    process.guard(withDeadline(ms, options.signal, (signal) => unless(work(), [signal, closed]), process));
  try {
    const answer = await within(options.timeoutMs ?? defaults.timeoutMs, () => exchange.ask(body));
    if ('body' in answer) throw new CovaultError('E_CORRUPT', 'a message came instead of a stream');
    for (;;) {
      const chunk = await within(options.idleMs ?? defaults.idleMs, () => exchange.read());
      if (chunk === undefined) return;
      yield chunk;
    }
  } catch (error) {
    throw connectionError(error, { where: ends.to.name, caller: options.signal });
  } finally {
    exchange.leave();
  }
}

/** `work`, or a rejection with the reason of the first signal that is aborted. */
function unless<T>(work: Promise<T>, signals: readonly AbortSignal[]): Promise<T> {
  return new Promise((resolve, reject) => {
    const stops = signals.map((signal) => {
      const stop = () => reject(signal.reason);
      if (signal.aborted) stop();
      else signal.addEventListener('abort', stop, { once: true });
      return () => signal.removeEventListener('abort', stop);
    });
    work.then(resolve, reject).finally(() => {
      for (const forget of stops) forget();
    });
  });
}
