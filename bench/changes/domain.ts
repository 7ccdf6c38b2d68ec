/** A repository, one client mounted beside its data directory, and a secondary, all on this machine. */
import { access, mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Daemon, type Message, runCovault, runCovaultWell, startCovault } from '../../scripts/covault-process.ts';
import { waitUntilPublished } from '../../scripts/demo/network.ts';

const clientName = 'laptop';
const listen = ['--listen', '127.0.0.1:0'];
/** A first hashing of everything takes minutes at full size. */
const publishMsMax = 20 * 60_000;

export interface Planned {
  /** From the start of the command until it said what must be pulled. */
  planSeconds: number;
  /** … until it ended, the snapshot sealed. */
  seconds: number;
  /** When each message of progress came, for whoever asks where the time goes. */
  steps: string[];
  plan: Message;
}

export class BenchDomain {
  /** The data directory itself, for programs that read it without Covault. */
  readonly data: string;
  /** The same through the mount. */
  readonly mountpoint: string;
  readonly #directory: string;
  readonly #hasPersonsPassword: boolean;
  readonly #daemons: Daemon[] = [];

  private constructor(directory: string, data: string, hasPersonsPassword: boolean) {
    this.#directory = directory;
    this.#hasPersonsPassword = hasPersonsPassword;
    this.data = data;
    this.mountpoint = join(directory, 'mount');
  }

  /**
   * @param data an existing directory; it is indexed when this resolves.
   * @param hasPersonsPassword the store has a password as people think of them, not one that was made for it.
   */
  static async start(directory: string, data: string, hasPersonsPassword: boolean): Promise<BenchDomain> {
    const domain = new BenchDomain(directory, data, hasPersonsPassword);
    try {
      await mkdir(domain.mountpoint, { recursive: true });
      const repository = await domain.#start(['repository', ...listen], 'repository');
      await domain.#join(String(repository.ready.url), 'vault', 'secondary');
      await domain.#join(String(repository.ready.url), clientName, 'client');
      await domain.#start(['mount', data, '--at', domain.mountpoint, ...listen], clientName);
      await domain.published();
      return domain;
    } catch (error) {
      await domain.stop();
      throw error;
    }
  }

  /** Resolves when all that is in the data directory is indexed and told to the repository. */
  published(): Promise<void> {
    const signal = AbortSignal.timeout(publishMsMax);
    return waitUntilPublished(this.#state(clientName), { signal });
  }

  async indexStatus(): Promise<Record<string, number>> {
    const { index } = await runCovaultWell(['status', '--state', this.#state(clientName)]);
    return index;
  }

  /** Bytes of the index's tables on the disk. */
  async indexBytes(): Promise<number> {
    return (await stat(join(this.#state(clientName), 'index', 'data.mdb'))).blocks * 512;
  }

  /** `covault snapshot`, timed until there is a plan. */
  async snapshot(options: readonly string[] = []): Promise<Planned> {
    const start = performance.now();
    const since = () => (performance.now() - start) / 1000;
    let planned: { seconds: number; message: Message } | undefined;
    const steps: string[] = [];
    const to = ['--to', join(this.#directory, 'store'), '--state', this.#state('vault'), ...options];
    const finished = await runCovault(['snapshot', clientName, ...to, ...(await this.#passwordWords())], {
      onMessage: (message) => {
        steps.push(`${message.phase ?? message.type} ${since().toFixed(3)}`);
        if (message.type === 'plan') planned ??= { seconds: since(), message };
      },
    });
    const seconds = since();
    if (finished.exitCode !== 0 || !planned) {
      throw new Error(`covault snapshot: status ${finished.exitCode}: ${JSON.stringify(finished.last)}`);
    }
    return { planSeconds: planned.seconds, seconds, steps, plan: planned.message };
  }

  /** Makes the password with the first snapshot. */
  async #passwordWords(): Promise<string[]> {
    const file = join(this.#directory, 'password');
    const isThere = await access(file).then(
      () => true,
      () => false,
    );
    if (!isThere && this.#hasPersonsPassword) await writeFile(file, 'correct horse\n');
    return [isThere || this.#hasPersonsPassword ? '--password-file' : '--new-password-file', file];
  }

  async stop(): Promise<void> {
    for (const daemon of this.#daemons.splice(0).reverse()) await daemon.stop();
  }

  async #start(words: readonly string[], name: string): Promise<Daemon> {
    const daemon = await startCovault([...words, '--state', this.#state(name)]);
    this.#daemons.push(daemon);
    return daemon;
  }

  async #join(url: string, name: string, role: string): Promise<void> {
    const invitation = ['repository', 'invite', '--role', role, '--name', name, '--state', this.#state('repository')];
    const { token } = await runCovaultWell(invitation);
    await runCovaultWell(['join', url, '--token', String(token), '--state', this.#state(name)]);
  }

  #state(name: string): string {
    return join(this.#directory, 'state', name);
  }
}
