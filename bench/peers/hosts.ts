/**
 * Hosts on one machine: a network namespace each, joined by veth pairs to a bridge in a namespace of its own, with the
 * speed of every link set by `tc tbf` in both directions. Needs root.
 *
 * What runs on a host has a session of its own: where the kernel groups processes by session (`sched_autogroup_enabled`)
 * hosts share the processors as equals, and who serves at nice value 19 waits for work on its own host only, as it
 * would on a machine of its own.
 */
import { execFileSync } from 'node:child_process';

/** Payload of a full Ethernet frame over TCP with time stamps, as a part of what `tc` counts. */
export const payloadShare = 1448 / 1514;

export interface Host {
  name: string;
  address: string;
  /** Words before a command that make it run on this host. */
  within: string[];
}

export class Hosts {
  readonly #prefix: string;
  readonly #hosts = new Map<string, Host>();

  /** @throws Error if namespaces cannot be made (not root, or `ip` is missing). */
  constructor() {
    this.#prefix = `cv${process.pid}`;
    run('ip', ['netns', 'add', this.#switch]);
    this.#onSwitch(['ip', 'link', 'add', 'br0', 'type', 'bridge']);
    this.#onSwitch(['ip', 'link', 'set', 'br0', 'up']);
  }

  add(name: string): Host {
    const rank = this.#hosts.size + 1;
    const namespace = `${this.#prefix}-${name}`;
    const port = `p${rank}`;
    const host: Host = {
      name,
      address: `10.79.0.${rank}`,
      within: ['setsid', 'nsenter', `--net=/run/netns/${namespace}`, '--'],
    };
    run('ip', ['netns', 'add', namespace]);
    this.#hosts.set(name, host);
    this.#onSwitch(['ip', 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace]);
    this.#onSwitch(['ip', 'link', 'set', port, 'master', 'br0']);
    this.#onSwitch(['ip', 'link', 'set', port, 'up']);
    onHost(host, ['ip', 'address', 'add', `${host.address}/24`, 'dev', 'eth0']);
    onHost(host, ['ip', 'link', 'set', 'eth0', 'up']);
    onHost(host, ['ip', 'link', 'set', 'lo', 'up']);
    return host;
  }

  host(name: string): Host {
    const host = this.#hosts.get(name);
    if (host === undefined) throw new Error(`there is no host ${name}`);
    return host;
  }

  has(name: string): boolean {
    return this.#hosts.has(name);
  }

  /** Megabits a second, up and down alike. */
  setRate(name: string, megabits: number): void {
    const burst = Math.max(16_000, Math.round((megabits * 1e6) / 8 / 250));
    const shape = ['root', 'tbf', 'rate', `${megabits}mbit`, 'burst', `${burst}`, 'latency', '50ms'];
    onHost(this.host(name), ['tc', 'qdisc', 'replace', 'dev', 'eth0', ...shape]);
    this.#onSwitch(['tc', 'qdisc', 'replace', 'dev', this.#port(name), ...shape]);
  }

  /** Takes the host off the network, or puts it back. */
  setConnected(name: string, connected: boolean): void {
    this.#onSwitch(['ip', 'link', 'set', this.#port(name), connected ? 'up' : 'down']);
  }

  /** From now on `name` cannot reach `other`, or can again. */
  setReachable(name: string, other: string, reachable: boolean): void {
    const route = ['unreachable', `${this.host(other).address}/32`];
    onHost(this.host(name), ['ip', 'route', reachable ? 'del' : 'add', ...route]);
  }

  /** Bytes that the host has sent, all headers included. */
  sentBytes(name: string): number {
    const [link] = JSON.parse(onHost(this.host(name), ['ip', '-j', '-s', 'link', 'show', 'dev', 'eth0']));
    return link.stats64.tx.bytes;
  }

  /** Processes on the hosts must have ended. */
  dispose(): void {
    for (const name of this.#hosts.keys()) run('ip', ['netns', 'delete', `${this.#prefix}-${name}`]);
    run('ip', ['netns', 'delete', this.#switch]);
    this.#hosts.clear();
  }

  /** Deletes whatever namespaces of this process are left. */
  static disposeAll(): void {
    const names = run('ip', ['netns', 'list'])
      .split('\n')
      .map((line) => line.split(' ')[0] as string);
    for (const name of names.filter((one) => one.startsWith(`cv${process.pid}-`))) run('ip', ['netns', 'delete', name]);
  }

  get #switch(): string {
    return `${this.#prefix}-switch`;
  }

  #port(name: string): string {
    return `p${[...this.#hosts.keys()].indexOf(name) + 1}`;
  }

  #onSwitch(words: string[]): string {
    return run('nsenter', [`--net=/run/netns/${this.#switch}`, '--', ...words]);
  }
}

function onHost(host: Host, words: string[]): string {
  const [program, ...parameters] = [...host.within, ...words];
  return run(program as string, parameters);
}

function run(program: string, parameters: readonly string[]): string {
  return execFileSync(program, parameters, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}
