/** What a pull needs of the world besides the store: peers. Real ones are in `peer.ts`. */
import type { Block } from '../core/recipe.ts';

/** The answer to one block of a request. */
export interface BlockAnswer {
  /** Index in the request, from 0. */
  position: number;
  /** Unverified; belongs to the receiver. Undefined: the peer does not have it. */
  bytes: Uint8Array | undefined;
  /** What `bytes` came as, if that was compressed. */
  packed?: Uint8Array | undefined;
}

/** Ways to ask peers for blocks. */
export interface PeerChannel {
  /**
   * Asks `peer` for blocks and yields its answers as they come, in any order; at most one waits in memory. Ends when
   * the peer says that this was all. Leaving the loop, or aborting, frees both sides.
   *
   * @param options.packed the peer may compress blocks on the way, which costs its processor and spares its link.
   * @param options.onBytes told of every bit that comes in, so that a slow peer is told from a dead one.
   * @throws CovaultError as `remote/client.ts` and `remote/framing.ts` do.
   */
  blocks(
    peer: string,
    wanted: readonly Block[],
    options: { signal: AbortSignal; packed: boolean; onBytes(count: number): void },
  ): AsyncIterable<BlockAnswer>;
}

/** `promise`, or a rejection with the signal's reason as soon as it is aborted, whatever becomes of `promise`. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
