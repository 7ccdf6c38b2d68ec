/** A simulated secondary: takes snapshots of the source until it has as many as planned, killed and run again. */
import { type Digest, type DigestKey, digestHex, digestKey } from '../../src/core/digest.ts';
import { isCovaultError } from '../../src/core/errors.ts';
import type { HolderLookup } from '../../src/core/ports.ts';
import { pause } from '../../src/core/timers.ts';
import type { Connection } from '../../src/remote/client.ts';
import { RepositoryClient } from '../../src/remote/repository-client.ts';
import { paths, unpackBlocksRequest } from '../../src/snapshot/messages.ts';
import { PeerDirectory } from '../../src/snapshot/peer-directory.ts';
import { type SnapshotOutcome, type TakeOptions, takeSnapshot } from '../../src/snapshot/take.ts';
import type { SimClient } from './client.ts';
import { connectTo } from './connection.ts';
import { simDigester } from './content.ts';
import type { Host, SimNetwork } from './network.ts';
import { SimProcess } from './process.ts';
import { SimStore } from './store.ts';

/** Of a pull that is not told another bound. */
const requestsMax = 32;

export interface SecondaryOptions {
  name: string;
  up: number;
  down: number;
  /** From then on nothing goes wrong any more. */
  healedMs: number;
  /** It goes on making snapshots until it made one that began after this; such a one must not fail. */
  wellFromMs: number;
  /** Whether what is sent may be compressed. */
  mayBePacked: boolean;
  source: SimClient;
  clients: ReadonlyMap<string, SimClient>;
  repositoryUrl: string;
  bounds: NonNullable<TakeOptions['bounds']>;
  breach(sentence: string): void;
  beforeTake(): void;
  onTaken(secondary: SimSecondary, outcome: SnapshotOutcome, startMs: number): void;
}

/** What one run of a snapshot knows and may rely on. */
interface Run {
  startMs: number;
  process: SimProcess;
  abort: AbortController;
  /** Who holds what, as the repository said. */
  named: Map<DigestKey, readonly string[]>;
  namedByRecipe: Map<DigestKey, readonly string[]>;
  /** Where members are, as the repository said last: not where one is that has moved since. */
  urls: Map<string, string | undefined>;
  /** Blocks that were durable before it began. */
  had: ReadonlySet<DigestKey>;
}

export class SimSecondary {
  readonly host: Host;
  readonly name: string;
  readonly store: SimStore;
  /** (peer, block) that it reported missing. */
  readonly reported = new Set<string>();
  /** How runs ended that failed. */
  readonly codes = new Map<string, number>();
  lastFailure = '';
  requestsMost = 0;
  requestsMostToOne = 0;
  readonly #network: SimNetwork;
  readonly #options: SecondaryOptions;
  readonly #done = Promise.withResolvers<void>();
  #isDone = false;
  #run: Run | undefined;
  #process: SimProcess | undefined;

  constructor(network: SimNetwork, options: SecondaryOptions) {
    const { name, up, down } = options;
    this.name = name;
    this.#network = network;
    this.#options = options;
    this.host = network.addHost({ name, role: 'secondary', up, down });
    this.store = new SimStore(network.random, options.breach);
  }

  /** Requests that it may have under way, and so blocks in memory. */
  get requestsMax(): number {
    return this.#options.bounds.requestsMax ?? requestsMax;
  }

  /** Resolves when it has all its snapshots. */
  get done(): Promise<void> {
    return this.#done.promise;
  }

  start(): void {
    const process = new SimProcess(this.#network.time);
    this.#process = process;
    this.host.isDark = false;
    this.#loop(process).catch((error) => this.#network.onDefect(error, `loop of ${this.name}`));
  }

  kill(): void {
    this.#process?.kill();
    this.#process = undefined;
    this.#run = undefined;
  }

  /** As Ctrl-C does; it is run again. */
  interrupt(): void {
    this.#run?.abort.abort();
  }

  /** Checks that a peer may be asked for these blocks now. */
  #checkAsked(run: Run, peer: string, digests: readonly Digest[]): void {
    const { breach, source, bounds, clients } = this.#options;
    const nowMs = this.#network.time.monotonicMs();
    const mayAskAnything = nowMs >= (bounds.sourceFreeAtMs ?? Number.POSITIVE_INFINITY);
    for (const digest of digests) {
      const key = digestKey(digest);
      if (run.had.has(key)) breach(`${this.name} asks ${peer} for ${digestHex(digest)}, which it has`);
      if (peer !== source.name || mayAskAnything) continue;
      const names = run.named.get(key) ?? run.namedByRecipe.get(key) ?? [];
      const able = names.find((name) => {
        const client = clients.get(name);
        return isSound(client, key, run.startMs) && run.urls.get(name) === client?.host.url;
      });
      if (able !== undefined) {
        breach(`${this.name} asks the source for ${digestHex(digest)}, which ${able} holds, who did nothing wrong`);
      }
    }
  }

  async #loop(process: SimProcess): Promise<void> {
    const { random } = this.#network;
    await process.work(random.between(0, 2_000));
    while (!this.#isDone) {
      try {
        this.#options.beforeTake();
        await this.#take(process);
      } catch (error) {
        if (!isCovaultError(error)) throw error;
        if (this.#isTimeToBeWell())
          this.#options.breach(`${this.name} fails though nothing is wrong: ${error.message}`);
        this.codes.set(error.code, (this.codes.get(error.code) ?? 0) + 1);
        this.lastFailure = error.message;
      }
      const isOver = this.#network.time.monotonicMs() > this.#options.healedMs;
      await pause(process, isOver ? random.between(5_000, 40_000) : random.between(100, 5_000));
    }
    this.#done.resolve();
  }

  /** The present run began when nothing went wrong any more. */
  #isTimeToBeWell(): boolean {
    return (this.#run?.startMs ?? 0) > this.#options.wellFromMs;
  }

  async #take(process: SimProcess): Promise<void> {
    const { source, repositoryUrl, bounds, onTaken } = this.#options;
    const { time } = this.#network;
    const startMs = time.monotonicMs();
    const abort = new AbortController();
    const named = new Map<DigestKey, readonly string[]>();
    const namedByRecipe = new Map<DigestKey, readonly string[]>();
    const had = new Set(this.store.durable.blocks);
    const run: Run = { startMs, process, abort, named, namedByRecipe, urls: new Map(), had };
    this.#run = run;
    const end = { network: this.#network, from: this.host, process };
    const repository = new RepositoryClient(connectTo(repositoryUrl, end));
    const directory = new PeerDirectory(async (options) => {
      const members = await repository.peers(options);
      for (const { name, url } of members.values()) run.urls.set(name, url);
      return members;
    });
    const connect = async (peer: string): Promise<Connection> =>
      this.#watched(run, peer, connectTo(await directory.urlOf(peer), end));
    const outcome = await process.guard(
      takeSnapshot({
        client: source.name,
        connect,
        peerStates: (options) => directory.refresh(options),
        holders: this.#noting(repository, run),
        sink: this.store.openWriter(process),
        digester: simDigester,
        clock: time,
        timers: process,
        puller: this.name,
        signal: abort.signal,
        bounds,
      }),
    );
    onTaken(this, outcome, startMs);
    if (this.#isTimeToBeWell()) this.#isDone = true;
  }

  /** The lookup, with what it answers noted. */
  #noting(repository: RepositoryClient, run: Run): HolderLookup {
    const { source } = this.#options;
    return {
      holdersOf: async (digests, options) => {
        const answers = await repository.holdersOf(digests, options);
        for (const [index, names] of answers.entries()) {
          const key = digestKey(digests[index] as Digest);
          const others = names.filter((name) => name !== source.name);
          const blocks = source.cutRoots.at(-1)?.recipeBlocks.get(key);
          if (blocks === undefined) run.named.set(key, others);
          else if (others.length >= 3) for (const block of blocks) run.namedByRecipe.set(block, others);
        }
        return answers;
      },
      reportMissing: (peer, digests) => {
        for (const digest of digests) this.reported.add(`${peer} ${digestKey(digest)}`);
        return repository.reportMissing(peer, digests);
      },
    };
  }

  readonly #underWay = new Map<string, number>();

  /** A connection of which requests for blocks are checked and counted. */
  #watched(run: Run, peer: string, connection: Connection): Connection {
    return {
      ...connection,
      stream: (path, body, options) => {
        const asked = this.#options.mayBePacked ? body : { ...(body as object), packed: false };
        const chunks = connection.stream(path, asked, options);
        if (path !== paths.blocks) return chunks;
        this.#checkAsked(run, peer, unpackBlocksRequest(body).digests);
        return this.#counted(run, peer, chunks, options?.signal);
      },
    };
  }

  async *#counted(
    run: Run,
    peer: string,
    chunks: AsyncGenerator<Uint8Array>,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Uint8Array> {
    const change = (by: number) => this.#underWay.set(peer, (this.#underWay.get(peer) ?? 0) + by);
    let isCounted = !signal?.aborted;
    const end = () => {
      if (isCounted) change(-1);
      isCounted = false;
    };
    if (isCounted) change(1);
    // A request that was given up counts no more, though it takes a moment to unwind.
    signal?.addEventListener('abort', end, { once: true });
    run.process.onKill(end);
    this.requestsMostToOne = Math.max(this.requestsMostToOne, this.#underWay.get(peer) ?? 0);
    this.requestsMost = Math.max(
      this.requestsMost,
      [...this.#underWay.values()].reduce((sum, more) => sum + more, 0),
    );
    try {
      yield* chunks;
    } finally {
      end();
    }
  }
}

/** It was there and well since `sinceMs`, and has the block. */
function isSound(client: SimClient | undefined, key: DigestKey, sinceMs: number): boolean {
  if (client === undefined || client.lie !== undefined || client.host.listener === undefined) return false;
  return client.host.troubles === 0 && client.host.troubledAtMs < sinceMs && client.holds(key);
}
