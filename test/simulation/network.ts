/**
 * A network inside the process: hosts with links of a bounded speed, pairs of hosts between which messages are late,
 * lost or held up, and servers that answer with the project's own routes. Takes the place of `remote/client.ts` and
 * `remote/server.ts`; what is sent is encoded and decoded as on real sockets.
 */
import type { Role } from '../../src/remote/member.ts';
import type { Caller, Route } from '../../src/remote/route.ts';
import type { VirtualTime } from '../snapshot/virtual-time.ts';
import type { SimProcess } from './process.ts';
import type { SeededRandom } from './random.ts';

/** What listens at a host. */
export interface Listener {
  process: SimProcess;
  routes: ReadonlyMap<string, Route>;
  admit?(caller: Caller): void;
}

export interface HostOptions {
  name: string;
  role: Role;
  /** Bytes per second. */
  up: number;
  down: number;
}

export class Host implements HostOptions {
  readonly name: string;
  readonly role: Role;
  readonly up: number;
  readonly down: number;
  upFreeAtMs = 0;
  downFreeAtMs = 0;
  /** When something last happened to it or its links that may have kept it from answering. */
  troubledAtMs = Number.NEGATIVE_INFINITY;
  /** Such things that go on. */
  troubles = 0;
  listener: Listener | undefined;
  /** Where it listens; a client is at another place after every start. */
  url = '';
  /** Without power: it does not even refuse connections. */
  isDark = false;

  constructor(options: HostOptions) {
    this.name = options.name;
    this.role = options.role;
    this.up = options.up;
    this.down = options.down;
  }

  get fingerprint(): string {
    return `certificate of ${this.name}`;
  }
}

/** What is between two hosts, in both directions. */
export interface Pair {
  latencyMs: number;
  jitterMs: number;
  /** Share of messages that come late or not at all. */
  lossShare: number;
  /** Share of the links' speed. */
  speedShare: number;
  /** When what is on its way has passed; counts while the speed is less than the links'. */
  freeAtMs: number;
  /** Partitions in force. */
  cuts: number;
}

/** A request that its caller waits for. */
export interface UnderWay {
  path: string;
  from: string;
  to: string;
  sinceMs: number;
}

export interface NetworkCounts {
  messages: number;
  bytes: number;
}

const repositoryPort = 9_999;
const partSeconds = 0.05;
const partBytesMin = 4 * 1024;
const partBytesMax = 128 * 1024;

export class SimNetwork {
  readonly time: VirtualTime;
  readonly random: SeededRandom;
  readonly hosts = new Map<string, Host>();
  readonly counts: NetworkCounts = { messages: 0, bytes: 0 };
  readonly underWay = new Set<UnderWay>();
  /** Told of every message that arrives. */
  readonly #record: (line: string) => void;
  /** Told of errors that are defects. */
  readonly onDefect: (error: unknown, where: string) => void;
  readonly #pairs = new Map<string, Pair>();
  readonly #waitingForHealing = new Set<() => void>();
  #nextPort = 10_000;

  constructor(options: {
    time: VirtualTime;
    random: SeededRandom;
    record(line: string): void;
    onDefect(error: unknown, where: string): void;
  }) {
    this.time = options.time;
    this.random = options.random;
    this.#record = options.record;
    this.onDefect = options.onDefect;
  }

  addHost(options: HostOptions): Host {
    const host = new Host(options);
    this.hosts.set(host.name, host);
    return host;
  }

  listen(host: Host, listener: Listener): void {
    host.listener = listener;
    host.isDark = false;
    const port = host.role === 'repository' ? repositoryPort : this.#nextPort++;
    host.url = `https://${host.name}.sim:${port}`;
    listener.process.onKill(() => {
      if (host.listener === listener) host.listener = undefined;
    });
  }

  /** The host that a URL of `listen` names, whether or not it listens there still. */
  hostOf(url: string): Host {
    const host = this.hosts.get(new URL(url).hostname.slice(0, -'.sim'.length));
    if (host === undefined) throw new Error(`no host of ${url}`);
    return host;
  }

  pair(a: Host, b: Host): Pair {
    const key = a.name < b.name ? `${a.name} ${b.name}` : `${b.name} ${a.name}`;
    const known = this.#pairs.get(key);
    if (known) return known;
    const latencyMs = this.random.magnitude(0.5, 80);
    const pair = {
      latencyMs,
      jitterMs: latencyMs * this.random.below(2),
      lossShare: 0,
      speedShare: 1,
      freeAtMs: 0,
      cuts: 0,
    };
    this.#pairs.set(key, pair);
    return pair;
  }

  /** Notes that something keeps these hosts from answering as they should: once, or (`change`) as it begins or ends. */
  trouble(hosts: Iterable<Host>, change: -1 | 0 | 1 = 0): void {
    for (const host of hosts) {
      host.troubledAtMs = this.time.monotonicMs();
      host.troubles += change;
    }
  }

  cut(pair: Pair): void {
    pair.cuts += 1;
  }

  heal(pair: Pair): void {
    pair.cuts -= 1;
    for (const look of [...this.#waitingForHealing]) look();
  }

  /** Resolves when `bytes` have left `from`. */
  leave(from: Host, bytes: number): Promise<void> {
    const nowMs = this.time.monotonicMs();
    from.upFreeAtMs = Math.max(nowMs, from.upFreeAtMs) + (bytes / from.up) * 1000;
    return new Promise((resolve) => this.time.after(from.upFreeAtMs - nowMs, resolve));
  }

  /** How much of a stream is sent before others have their turn. */
  partBytes(from: Host, to: Host): number {
    const rate = Math.min(from.up, to.down) * this.pair(from, to).speedShare;
    return Math.round(Math.max(partBytesMin, Math.min(partBytesMax, rate * partSeconds)));
  }

  distanceMs(from: Host, to: Host): number {
    const { latencyMs, jitterMs } = this.pair(from, to);
    return latencyMs + (jitterMs === 0 ? 0 : this.random.below(Math.ceil(jitterMs) + 1));
  }

  /** Resolves when bytes that left `from` just now have arrived: later, if the two are parted. */
  async arrive(from: Host, to: Host, what: string, bytes: number): Promise<void> {
    const { time } = this;
    const pair = this.pair(from, to);
    const nowMs = time.monotonicMs();
    // A slow way between two hosts does not slow down the links that each of them has to others.
    const slowMs = pair.speedShare < 1 ? (bytes / (Math.min(from.up, to.down) * pair.speedShare)) * 1000 : 0;
    pair.freeAtMs = Math.max(nowMs, pair.freeAtMs) + slowMs;
    to.downFreeAtMs = Math.max(nowMs, to.downFreeAtMs) + (bytes / to.down) * 1000;
    const passedMs = Math.max(pair.freeAtMs, to.downFreeAtMs);
    await new Promise<void>((resolve) => time.after(passedMs - nowMs + this.distanceMs(from, to), resolve));
    await this.healed(from, to);
    this.counts.messages += 1;
    this.counts.bytes += bytes;
    this.#record(`${time.monotonicMs()} ${from.name} ${to.name} ${what} ${bytes}`);
  }

  async healed(from: Host, to: Host): Promise<void> {
    const pair = this.pair(from, to);
    while (pair.cuts > 0) {
      await new Promise<void>((resolve) => {
        const look = () => {
          if (pair.cuts > 0) return;
          this.#waitingForHealing.delete(look);
          resolve();
        };
        this.#waitingForHealing.add(look);
      });
    }
  }
}

/** Who calls, as a server sees it. */
export function callerAt(host: Host): Caller {
  return { name: host.name, role: host.role, fingerprint: host.fingerprint };
}
