/** Writing a stream as the body of an answer, at the pace of who reads it. */
import type { ServerResponse } from 'node:http';
import { CovaultError } from '../core/errors.ts';

/**
 * Writes `first` and then the rest of `chunks` to `response` and ends it. The next chunk is asked for only when the
 * one before was taken by the connection, so at most about one chunk waits in memory however slow the reader is.
 * Resolves when the last byte was handed to the operating system; on any failure the connection is cut, so that the
 * other side cannot take the part for the whole. `chunks` is closed in every case.
 *
 * @param options.stallMs how long the reader may take nothing before it is given up.
 * @throws CovaultError `E_INTERRUPTED` if the reader went away or `signal` was aborted, `E_UNAVAILABLE` if it stalled;
 *   else what `chunks` threw.
 */
export async function writeStream(
  response: ServerResponse,
  first: IteratorResult<Uint8Array>,
  chunks: AsyncIterator<Uint8Array>,
  options: { signal: AbortSignal; stallMs: number },
): Promise<void> {
  let next = first;
  try {
    while (!next.done) {
      options.signal.throwIfAborted();
      if (!response.write(next.value)) await takenBy(response, 'drain', options);
      next = await chunks.next();
    }
    response.end();
    await takenBy(response, 'finish', options);
  } catch (error) {
    response.destroy();
    throw options.signal.aborted ? interrupted(error) : error;
  } finally {
    await chunks.return?.();
  }
}

function interrupted(cause: unknown): CovaultError {
  return new CovaultError('E_INTERRUPTED', 'a stream was given up before its end', { cause });
}

/** Resolves at the event; rejects when the connection closes or nothing happens for `stallMs`. */
function takenBy(
  response: ServerResponse,
  event: 'drain' | 'finish',
  options: { signal: AbortSignal; stallMs: number },
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (options.signal.aborted || response.destroyed) return reject(interrupted(undefined));
    const stalled = () => settle(new CovaultError('E_UNAVAILABLE', 'the reader of a stream takes nothing any more'));
    const gone = () => settle(interrupted(undefined));
    const done = () => settle();
    const timer = setTimeout(stalled, options.stallMs);
    const settle = (error?: CovaultError) => {
      clearTimeout(timer);
      response.off(event, done).off('close', gone);
      options.signal.removeEventListener('abort', gone);
      if (error) reject(error);
      else resolve();
    };
    response.once(event, done).once('close', gone);
    options.signal.addEventListener('abort', gone, { once: true });
  });
}
