/** A domain of real processes on hosts of their own: a repository, the source, its peers, and who makes copies. */
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Daemon,
  type Message,
  type RunOptions,
  runCovaultWell,
  startCovault,
} from '../../scripts/covault-process.ts';
import { waitUntilPublished } from '../../scripts/demo/network.ts';
import { copyInto, type SharedFile } from './data.ts';
import { type Host, Hosts } from './hosts.ts';

export interface Client {
  name: string;
  state: string;
  /** The data directory, under the mount. */
  data: string;
  daemon: Daemon;
}

export const sourceName = 'source';
const repositoryName = 'repository';
const password = 'benchmark';
const repositoryPort = 7420;

export class Fleet {
  readonly directory: string;
  /** TMPDIR of everything started here: what is left is found by it. */
  readonly scratch: string;
  readonly hosts: Hosts;
  readonly clients = new Map<string, Client>();
  readonly #daemons: Daemon[] = [];
  #repository: Daemon | undefined;

  /** @param directory exists and is empty. */
  constructor(directory: string, scratch: string) {
    this.directory = directory;
    this.scratch = scratch;
    this.hosts = new Hosts();
  }

  /** Rates are the caller's to set, once everything is there. */
  static async start(options: {
    directory: string;
    scratch: string;
    folder: string;
    files: readonly SharedFile[];
    peers: number;
    secondaries: number;
  }): Promise<Fleet> {
    const fleet = new Fleet(options.directory, options.scratch);
    try {
      await fleet.startRepository();
      const peers = Array.from({ length: options.peers }, (_, rank) => peerName(rank));
      for (const [position, name] of [sourceName, ...peers].entries()) {
        const held = options.files.filter(({ peers: holders }) => position === 0 || holders.includes(position - 1));
        await fleet.addClient(name, (data) => copyInto(data, options.folder, held));
      }
      for (let rank = 0; rank < options.secondaries; rank++) await fleet.join(secondaryName(rank), 'secondary');
      await fleet.published();
      return fleet;
    } catch (error) {
      await fleet.dispose();
      throw error;
    }
  }

  async startRepository(): Promise<void> {
    const isFirst = this.#repository === undefined;
    const host = isFirst ? this.hosts.add(repositoryName) : this.hosts.host(repositoryName);
    const listen = ['--listen', `${host.address}:${repositoryPort}`];
    // Long leases: who is gone is certainly still named as a holder.
    const words = ['repository', '--state', this.stateOf(repositoryName), '--lease', '10m', ...listen];
    this.#repository = await this.#start(host, words);
  }

  async stopRepository(): Promise<void> {
    await this.#repository?.stop();
  }

  /** A new host that is a member. Returns its state directory. */
  async join(name: string, role: 'client' | 'secondary'): Promise<string> {
    const host = this.hosts.add(name);
    const invite = ['repository', 'invite', '--role', role, '--name', name, '--state', this.stateOf(repositoryName)];
    const { token } = await runCovaultWell(invite, this.runOn(this.hosts.host(repositoryName)));
    const url = `https://${this.hosts.host(repositoryName).address}:${repositoryPort}`;
    await runCovaultWell(['join', url, '--token', String(token), '--state', this.stateOf(name)], this.runOn(host));
    return this.stateOf(name);
  }

  /** Joins, fills its data directory with `fill` and mounts it. */
  async addClient(name: string, fill: (data: string) => void): Promise<Client> {
    const state = await this.join(name, 'client');
    const data = join(this.directory, 'data', name);
    await mkdir(data, { recursive: true });
    fill(data);
    const client = { name, state, data, daemon: await this.#mount(name, data) };
    this.clients.set(name, client);
    return client;
  }

  /** Mounts a client anew, `within` before its command: words of a program that becomes it. */
  async remountClient(name: string, within: readonly string[] = []): Promise<void> {
    const client = this.client(name);
    await client.daemon.stop();
    client.daemon = await this.#mount(name, client.data, within);
    await this.published();
  }

  #mount(name: string, data: string, within: readonly string[] = []): Promise<Daemon> {
    const host = this.hosts.host(name);
    const words = ['mount', data, '--state', this.stateOf(name), '--listen', `${host.address}:0`];
    return this.#start({ ...host, within: [...host.within, ...within] }, words);
  }

  client(name: string): Client {
    const client = this.clients.get(name);
    if (client === undefined) throw new Error(`there is no client ${name}`);
    return client;
  }

  /** Resolves when the repository knows all that the clients hold. */
  async published(): Promise<void> {
    const signal = AbortSignal.timeout(300_000);
    for (const { name, state } of this.clients.values()) {
      await waitUntilPublished(state, { ...this.runOn(this.hosts.host(name)), signal });
    }
  }

  status(name: string): Promise<Message> {
    return runCovaultWell(['status', '--state', this.stateOf(name)], this.runOn(this.hosts.host(name)));
  }

  stateOf(name: string): string {
    return join(this.directory, 'state', name);
  }

  runOn(host: Host): RunOptions {
    return { env: { TMPDIR: this.scratch, COVAULT_PASSWORD: password }, within: host.within };
  }

  async dispose(): Promise<void> {
    for (const daemon of this.#daemons.toReversed()) {
      daemon.child.kill('SIGCONT');
      await daemon.stop();
    }
    this.hosts.dispose();
  }

  async #start(host: Host, words: string[]): Promise<Daemon> {
    const daemon = await startCovault(words, this.runOn(host));
    this.#daemons.push(daemon);
    return daemon;
  }
}

export function peerName(rank: number): string {
  return `peer${rank + 1}`;
}

export function secondaryName(rank: number): string {
  return `vault${rank + 1}`;
}

/** Processor seconds that a process has used, in user and kernel mode. */
export function processorSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? [];
  // Fields 14 and 15 of the whole line, in ticks of 10 ms.
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
