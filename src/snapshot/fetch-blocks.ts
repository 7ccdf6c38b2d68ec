/**
 * Blocks for a restore: from peers that hold them and from the store, by the same plan and the same pull as a snapshot,
 * with the store in the place of the source.
 */
import type { Clock } from '../core/clock.ts';
import type { Digest, Digester } from '../core/digest.ts';
import { isCovaultError } from '../core/errors.ts';
import type { BlockFetcher, HolderLookup, SnapshotReader } from '../core/ports.ts';
import type { Block } from '../core/recipe.ts';
import { systemTimers, type Timers } from '../core/timers.ts';
import type { Connection } from '../remote/client.ts';
import type { BlockAnswer, PeerChannel } from './channel.ts';
import { findHolders } from './find-holders.ts';
import { NeededGatherer } from './needed-blocks.ts';
import { PeerConnections } from './peer.ts';
import type { PeerState } from './peer-directory.ts';
import { mayPass } from './persist.ts';
import { makePlan } from './plan.ts';
import { planPeers } from './plan-peers.ts';
import { type PullOptions, pull } from './pull.ts';
import { SnapshotShares } from './snapshot-shares.ts';

export interface FetchOptions {
  store: Pick<SnapshotReader, 'readBlock' | 'prefetch'>;
  holders: HolderLookup;
  /** As of `takeSnapshot`; the connections are closed by `close`. */
  connect(peer: string): Promise<Connection>;
  digester: Digester;
  clock: Clock;
  timers?: Timers;
  /** Who restores. */
  puller: string;
  /** The store sends only what no peer does; otherwise it takes its share of the work. */
  sparesStore?: boolean;
  /** Bytes per second of peers as measured earlier. */
  peerSpeeds?: ReadonlyMap<string, number>;
  /** As of `takeSnapshot`. */
  peerStates?(options: { signal?: AbortSignal }): Promise<ReadonlyMap<string, PeerState>>;
  /** See `PeerConnections`. */
  passes?: (bytes: number, signal: AbortSignal) => Promise<void>;
  /** Told once why peers are not asked any more. */
  onProblem?(error: unknown): void;
  bounds?: Pick<PullOptions, 'pipeline' | 'requestsMax' | 'healthTimes'>;
}

/** No member can be called so. */
const storeName = 'the store';

export class PeerFetcher implements BlockFetcher, AsyncDisposable {
  readonly #options: FetchOptions;
  readonly #connections: PeerConnections;
  /** Who gave what so far; of the source: the store. */
  readonly shares = new SnapshotShares();
  #hasRepository = true;

  constructor(options: FetchOptions) {
    this.#options = options;
    this.#connections = new PeerConnections(options.connect, options.passes ? { passes: options.passes } : {});
  }

  async fetch(
    blocks: readonly Block[],
    { take, signal }: { take(block: Block, bytes: Uint8Array): Promise<void>; signal?: AbortSignal },
  ): Promise<void> {
    const { digester, clock, timers = systemTimers, puller, bounds, sparesStore } = this.#options;
    const gathered = new NeededGatherer({ hasBlock: () => false });
    gathered.add(blocks);
    const signalOption = signal ? { signal } : {};
    const needed = await findHolders(gathered, this.#holders, { leftOut: this.#untrusted(), ...signalOption });
    const speeds = new Map([...(this.#options.peerSpeeds ?? []), ...this.shares.speeds]);
    const peers = planPeers(needed.sets.names(), { speeds, states: await this.#peerStates(signalOption) });
    const plan = makePlan(needed, { peers, puller });
    let failure: { error: unknown } | undefined;
    const addBlock = async (block: Block, bytes: Uint8Array) => {
      try {
        await take(block, bytes);
      } catch (error) {
        failure ??= { error };
        throw error;
      }
    };
    const pulling = pull(needed, plan, {
      ...bounds,
      ...signalOption,
      ...(sparesStore ? {} : { sourceFreeAtMs: clock.monotonicMs() }),
      source: storeName,
      channel: this.#channel,
      sink: { addBlock, flush: async () => undefined },
      digester,
      holders: this.#holders,
      clock,
      timers,
    });
    try {
      this.shares.add(needed, plan, await pulling);
    } catch (error) {
      if (failure !== undefined || signal?.aborted) throw error;
      // What is left the caller takes from the store itself, and meets its errors there.
      this.#options.onProblem?.(error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connections.close();
  }

  /** The repository as far as it is there: without it the store has to do, and no restore waits for it. */
  get #holders(): HolderLookup {
    const { holders, onProblem } = this.#options;
    return {
      holdersOf: async (digests: readonly Digest[], options) => {
        if (this.#hasRepository) {
          try {
            return await holders.holdersOf(digests, options);
          } catch (error) {
            if (options.signal?.aborted || !(mayPass(error) || isCovaultError(error, 'E_AUTH'))) throw error;
            this.#hasRepository = false;
            onProblem?.(error);
          }
        }
        return digests.map(() => []);
      },
      reportMissing: async (peer, digests) => {
        if (peer !== storeName) await holders.reportMissing(peer, digests);
      },
    };
  }

  async #peerStates(options: { signal?: AbortSignal }): Promise<ReadonlyMap<string, PeerState>> {
    if (!this.#hasRepository || this.#options.peerStates === undefined) return new Map();
    try {
      return await this.#options.peerStates(options);
    } catch (error) {
      if (options.signal?.aborted || !mayPass(error)) throw error;
      return new Map();
    }
  }

  get #channel(): PeerChannel {
    const { store } = this.#options;
    const peers = this.#connections;
    return {
      blocks: (peer, wanted, options) =>
        peer === storeName ? fromStore(store, wanted, options) : peers.blocks(peer, wanted, options),
    };
  }

  #untrusted(): Set<string> {
    return new Set([...this.shares.dropped].flatMap(([peer, { kind }]) => (kind === 'unreachable' ? [] : [peer])));
  }
}

/** What is damaged or missing is lacking here: peers may have it, and if not, who restores meets the store's own error. */
async function* fromStore(
  store: FetchOptions['store'],
  wanted: readonly Block[],
  { signal, onBytes }: { signal: AbortSignal; onBytes(count: number): void },
): AsyncGenerator<BlockAnswer> {
  const digests = wanted.map(({ digest }) => digest);
  await store.prefetch?.(digests, { signal }).catch(() => undefined);
  for (const [position, { digest }] of wanted.entries()) {
    signal.throwIfAborted();
    const bytes = await store.readBlock(digest).catch(() => undefined);
    onBytes(bytes?.byteLength ?? 0);
    yield { position, bytes };
  }
}
