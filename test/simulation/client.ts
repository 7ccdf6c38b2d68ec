/** A simulated client: files, a feed and open cuts, served by the project's own routes, well or with a fault. */
import { randomId } from '../../src/core/clock.ts';
import { type Digest, type DigestKey, digestFromKey, digestKey } from '../../src/core/digest.ts';
import { CovaultError } from '../../src/core/errors.ts';
import type { BlockSource, Cut, CutSource } from '../../src/core/ports.ts';
import { FeedPublisher } from '../../src/remote/feed-publisher.ts';
import { encodeFrames, type Frame } from '../../src/remote/framing.ts';
import { LeaseRenewal } from '../../src/remote/lease-renewal.ts';
import { RepositoryClient } from '../../src/remote/repository-client.ts';
import type { Call, Route } from '../../src/remote/route.ts';
import { paths } from '../../src/snapshot/messages.ts';
import { openServing, type Serving } from '../../src/snapshot/serve.ts';
import { MemoryFeed } from '../remote/memory-feed.ts';
import { connectTo } from './connection.ts';
import type { Contents, PackedFiles, SimFiles } from './content.ts';
import type { Host, SimNetwork } from './network.ts';
import { SimProcess } from './process.ts';

/** How a client lies to those who ask it for blocks. */
export const lies = ['wrong bytes', 'short bytes', 'old data', 'denies', 'endless', 'short answer', 'refuses'] as const;
export type Lie = (typeof lies)[number];

export interface ClientOptions {
  name: string;
  up: number;
  down: number;
  files: SimFiles;
  /** Open cuts keep what is overwritten meanwhile. */
  cutsPreserve: boolean;
  digestsPerRequest: number;
}

export class SimClient implements BlockSource, CutSource {
  readonly host: Host;
  readonly name: string;
  readonly feed = new MemoryFeed();
  readonly files: Map<string, readonly number[]>;
  /** What changed files contained the time before. */
  readonly before = new Map<string, readonly number[] | undefined>();
  /** Roots of the cuts that were made. */
  readonly cutRoots: PackedFiles[] = [];
  lie: Lie | undefined;
  /** Refuses with "busy" until then. */
  busyUntilMs = 0;
  readonly #network: SimNetwork;
  readonly #contents: Contents;
  readonly #options: ClientOptions;
  readonly #openCuts = new Set<PackedFiles>();
  #packed: PackedFiles;
  #process: SimProcess | undefined;
  #stop = new AbortController();
  #serving: Serving | undefined;
  #publisher: FeedPublisher | undefined;
  #loops: Promise<unknown> = Promise.resolve();

  constructor(network: SimNetwork, contents: Contents, options: ClientOptions) {
    const { name, up, down } = options;
    this.#network = network;
    this.#contents = contents;
    this.#options = options;
    this.name = name;
    this.host = network.addHost({ name, role: 'client', up, down });
    this.files = new Map(options.files);
    this.#packed = contents.pack(this.files);
    this.feed.gain(...heldBy(this.#packed).map(digestFromKey));
  }

  get serving(): Serving | undefined {
    return this.#serving;
  }

  get isLevel(): boolean {
    return this.#publisher?.state().phase === 'level';
  }

  /** Blocks as they are now. */
  holds(key: DigestKey): boolean {
    return this.#packed.blocks.has(key);
  }

  start(repositoryUrl: string): void {
    const process = new SimProcess(this.#network.time);
    const { random } = this.#network;
    this.#process = process;
    this.#stop = new AbortController();
    this.#serving = openServing({ blocks: this, cuts: this, timers: process, clock: this.#network.time });
    const routes = this.#serving.routes.map((route) => (route.path === paths.blocks ? this.#bent(route) : route));
    this.#network.listen(this.host, { process, routes: new Map(routes.map((route) => [route.path, route])) });
    const { url } = this.host;
    const serving = this.#serving;
    const repository = new RepositoryClient(
      connectTo(repositoryUrl, { network: this.#network, from: this.host, process }),
    );
    const { signal } = this.#stop;
    const waiting = { signal, timers: process, random: (below: number) => random.below(below) };
    this.#publisher = new FeedPublisher(repository, this.feed, {
      ...waiting,
      digestsPerRequest: this.#options.digestsPerRequest,
    });
    const lease = new LeaseRenewal(repository, {
      ...waiting,
      clock: this.#network.time,
      lease: () => ({ url, load: serving.status().uploads }),
    });
    this.#loops = Promise.all([this.#publisher.run(), lease.run()]);
    this.#loops.catch((error) => this.#network.onDefect(error, `loops of ${this.name}`));
  }

  kill(): void {
    this.#process?.kill();
    this.#process = undefined;
    this.#serving = undefined;
    this.#openCuts.clear();
    // Frees what the loops of the dead process wait for; nothing they do has an effect any more.
    this.#stop.abort();
  }

  /** Ends as a daemon does that is told to. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loops;
    await this.#serving?.close();
  }

  /** Writes, replaces or (without blocks) removes files. */
  change(changes: ReadonlyMap<string, readonly number[] | undefined>): void {
    const before = new Set(heldBy(this.#packed));
    for (const [path, blocks] of changes) {
      this.before.set(path, this.files.get(path));
      if (blocks === undefined) this.files.delete(path);
      else this.files.set(path, blocks);
    }
    this.#packed = this.#contents.pack(this.files);
    const after = new Set(heldBy(this.#packed));
    this.feed.gain(...[...after].filter((key) => !before.has(key)).map(digestFromKey));
    this.feed.lose(...[...before].filter((key) => !after.has(key)).map(digestFromKey));
  }

  async readBlock(digest: Digest): Promise<Uint8Array | undefined> {
    const { random, time } = this.#network;
    if (random.chance(0.05)) await this.#onDisk(random.magnitude(1, 200));
    if (time.monotonicMs() < this.busyUntilMs) throw new CovaultError('E_BUSY', `${this.name} has too much to do`);
    const key = digestKey(digest);
    const holders = [this.#packed, ...(this.#options.cutsPreserve ? this.#openCuts : [])];
    const number = holders.map((packed) => packed.blocks.get(key)).find((found) => found !== undefined);
    if (number === undefined) return undefined;
    const { bytes } = this.#contents.block(number);
    switch (this.lie) {
      case 'wrong bytes':
        return spoiled(bytes);
      case 'short bytes':
        return bytes.subarray(0, -1);
      case 'old data':
        return this.#contents.block(number + 1_000_000).bytes;
      case 'denies':
        return undefined;
      case 'refuses':
        throw new CovaultError('E_AUTH', `${this.name} does not answer this`);
      default:
        return bytes;
    }
  }

  async openCut({ signal }: { signal?: AbortSignal }): Promise<Cut> {
    const { random, time } = this.#network;
    await this.#onDisk(random.magnitude(1, 20_000));
    signal?.throwIfAborted();
    const packed = this.#packed;
    this.cutRoots.push(packed);
    this.#openCuts.add(packed);
    return {
      id: randomId(),
      timeNs: BigInt(Math.round(time.nowMs() * 1e6)),
      root: packed.root,
      readObject: async (kind, digest) => (kind === 'tree' ? packed.trees : packed.recipes).get(digestKey(digest)),
      close: async () => {
        this.#openCuts.delete(packed);
      },
    };
  }

  async #onDisk(ms: number): Promise<void> {
    await this.#process?.work(ms);
  }

  /** The route for blocks, bent if the client lies about more than bytes. */
  #bent(route: Route): Route {
    return {
      ...route,
      handle: async (call) => {
        const { digests } = call.body as { digests: Digest[] };
        if (this.lie === 'endless') return { stream: encodeFrames(this.#endless(digests, call)) };
        if (this.lie === 'short answer') return { stream: encodeFrames(this.#some(digests)) };
        return route.handle(call);
      },
    };
  }

  /** Answers again and again. */
  async *#endless(digests: readonly Digest[], call: Call): AsyncGenerator<Frame> {
    while (!call.signal.aborted) {
      yield* this.#some(digests);
      await this.#onDisk(10);
    }
  }

  /** Answers a part and says that this was all. */
  async *#some(digests: readonly Digest[]): AsyncGenerator<Frame> {
    for (const [position, digest] of digests.slice(0, Math.ceil(digests.length / 2)).entries()) {
      const number = this.#packed.blocks.get(digestKey(digest));
      if (number === undefined) yield { kind: 'absent', position };
      else yield { kind: 'item', position, bytes: this.#contents.block(number).bytes };
    }
  }
}

function heldBy(packed: PackedFiles): DigestKey[] {
  return [...packed.blocks.keys(), ...packed.recipes.keys()];
}

function spoiled(bytes: Uint8Array): Uint8Array {
  const wrong = Uint8Array.from(bytes);
  wrong[0] = (wrong[0] as number) ^ 1;
  return wrong;
}
