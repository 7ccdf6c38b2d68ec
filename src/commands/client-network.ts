/** A joined client's side of the network: it serves its blocks, tells the repository what it holds, and that it is there. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../core/clock.ts';
import type { BlockSource, CutSource, FeedSource } from '../core/ports.ts';
import { FeedPublisher } from '../remote/feed-publisher.ts';
import type { Identity } from '../remote/identity.ts';
import { LeaseRenewal } from '../remote/lease-renewal.ts';
import { openRepositoryClient, type RepositoryClient } from '../remote/repository-client.ts';
import { RevokedCertificates } from '../remote/revocation.ts';
import { type Server, startServer } from '../remote/server.ts';
import { openServing, type Serving } from '../snapshot/serve.ts';
import type { ServingGate } from '../snapshot/serving-gate.ts';
import { advertisedUrl } from './advertised-url.ts';
import type { Logger } from './logging.ts';

export interface ClientNetworkOptions {
  identity: Identity;
  repositoryUrl: string;
  listen: { host: string; port: number };
  index: BlockSource & CutSource & { feed: FeedSource };
  /** What others may take; by default all that the defaults allow. */
  gate?: ServingGate;
  clock: Clock;
  log: Logger;
}

interface NetworkParts {
  server: Server;
  serving: Serving;
  revoked: RevokedCertificates;
  url: string;
}

/** How long a status waits for the repository, milliseconds. */
const statusMs = 3000;

export class ClientNetwork {
  readonly url: string;
  readonly #options: ClientNetworkOptions;
  readonly #server: Server;
  readonly #serving: Serving;
  readonly #repository: RepositoryClient;
  readonly #publisher: FeedPublisher;
  readonly #lease: LeaseRenewal;
  readonly #stop: AbortController;
  readonly #loops: Promise<unknown>;

  private constructor(options: ClientNetworkOptions, parts: NetworkParts) {
    const { server, serving, revoked, url } = parts;
    this.url = url;
    this.#options = options;
    this.#server = server;
    this.#serving = serving;
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    this.#repository = openRepositoryClient({ identity: options.identity, url: options.repositoryUrl });
    this.#publisher = new FeedPublisher(this.#repository, options.index.feed, { signal });
    const lease = () => {
      const { uploads, price } = serving.status();
      return { url, load: uploads, price };
    };
    this.#lease = new LeaseRenewal(this.#repository, { signal, lease, revoked, clock: options.clock });
    this.#loops = Promise.all([this.#publisher.run(), this.#lease.run()]);
    this.#loops.catch((error) => options.log.error({ error }, 'talking to the repository ended unexpectedly'));
  }

  /** Listens; the repository need not be there. @throws CovaultError `E_UNAVAILABLE` if it cannot listen. */
  static async start(options: ClientNetworkOptions): Promise<ClientNetwork> {
    const { identity, listen, index, gate, log, repositoryUrl } = options;
    const serving = openServing({ blocks: index, cuts: index, ...(gate === undefined ? {} : { gate }) });
    const revoked = new RevokedCertificates();
    const server = await startServer({
      identity,
      ...listen,
      routes: serving.routes,
      admit: (caller) => revoked.admit(caller),
      onDefect: (error, path) => log.error({ error, path }, 'a request failed unexpectedly'),
    });
    const url = await advertisedUrl({ host: listen.host, port: server.port }, repositoryUrl);
    return new ClientNetwork(options, { server, serving, revoked, url });
  }

  async status(): Promise<Record<string, unknown>> {
    const { feed } = this.#options.index;
    const { acknowledged, phase, resyncs, error } = this.#publisher.state();
    const lease = this.#lease.state();
    const behind = phase === 'level' ? feed.lastSequence() - (acknowledged ?? 0) : undefined;
    return {
      url: this.#options.repositoryUrl,
      phase,
      behind: behind ?? Math.max(1, feed.lastSequence() - (acknowledged ?? 0)),
      acknowledged: acknowledged ?? null,
      resyncs,
      live: lease.live,
      serving: this.#serving.status(),
      error: (error ?? lease.error)?.message ?? null,
      ...(await this.#repositoryView()),
    };
  }

  /** Takes no more requests, lets those under way finish for a while. Idempotent. */
  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.all([this.#server.close(), this.#repository.close()]);
    await this.#serving.close();
    await Promise.race([this.#loops.catch(() => undefined), delay(statusMs)]);
  }

  /** What the repository says of the domain; nothing if it cannot be reached just now. */
  async #repositoryView(): Promise<Record<string, unknown>> {
    try {
      const options = { timeoutMs: statusMs };
      const [statistics, members] = await Promise.all([
        this.#repository.statistics(options),
        this.#repository.peers(options),
      ]);
      return { reachable: true, statistics, members: [...members.values()] };
    } catch {
      return { reachable: false };
    }
  }
}
