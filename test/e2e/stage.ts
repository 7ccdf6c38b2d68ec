/** Real processes for a test: members of a domain in a directory of their own, all gone when the test ends. */
import { mkdirSync, mkdtempSync, realpathSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import {
  type Daemon,
  type Finished,
  type Message,
  type RunOptions,
  runCovault,
  runCovaultWell,
  startCovault,
} from '../../scripts/covault-process.ts';
import { waitUntilPublished } from '../../scripts/demo/network.ts';
import { cleanUp } from '../../scripts/leftovers.ts';

export const password = 'correct horse';
const anyPort = '127.0.0.1:0';

export interface Client {
  name: string;
  state: string;
  /** The data directory, under the mount. */
  data: string;
  daemon: Daemon;
}

export class Stage {
  readonly directory: string;
  readonly #daemons: Daemon[] = [];
  readonly #run: RunOptions;
  #repository: { daemon: Daemon; state: string; url: string } | undefined;

  constructor(directory: string) {
    this.directory = directory;
    this.#run = { env: { TMPDIR: directory, COVAULT_PASSWORD: password } };
  }

  path(...names: string[]): string {
    return join(this.directory, ...names);
  }

  stateOf(name: string): string {
    return this.path('state', name);
  }

  get repositoryUrl(): string {
    return this.#known.url;
  }

  /** A command, whatever its end. */
  run(words: readonly string[], options: RunOptions = {}): Promise<Finished> {
    return runCovault(words, this.#merge(options));
  }

  /** A command that must go well; returns its last message. */
  do(words: readonly string[], options: RunOptions = {}): Promise<Message> {
    return runCovaultWell(words, this.#merge(options));
  }

  async start(words: readonly string[], options: RunOptions = {}): Promise<Daemon> {
    const daemon = await startCovault(words, this.#merge(options));
    this.#daemons.push(daemon);
    return daemon;
  }

  /** Starts the repository, or starts it again where it was. */
  async startRepository(options: readonly string[] = []): Promise<Daemon> {
    const state = this.stateOf('repository');
    const listen = this.#repository === undefined ? anyPort : this.#repository.url.replace('https://', '');
    const daemon = await this.start(['repository', '--state', state, '--listen', listen, ...options]);
    this.#repository = { daemon, state, url: String(daemon.ready.url) };
    return daemon;
  }

  async join(name: string, role: 'client' | 'secondary' | 'administrator'): Promise<string> {
    const { url, state } = this.#known;
    const { token } = await this.do(['repository', 'invite', '--role', role, '--name', name, '--state', state]);
    await this.do(['join', url, '--token', String(token), '--state', this.stateOf(name)]);
    return this.stateOf(name);
  }

  /** Joins and mounts. */
  async startClient(name: string, options: readonly string[] = []): Promise<Client> {
    await this.join(name, 'client');
    return this.mountClient(name, options);
  }

  /** Mounts, with the state and the data that there are. */
  async mountClient(name: string, options: readonly string[] = []): Promise<Client> {
    const data = this.path('data', name);
    makeDirectory(data);
    const state = this.stateOf(name);
    const daemon = await this.start(['mount', data, '--state', state, '--listen', anyPort, ...options]);
    return { name, state, data, daemon };
  }

  /** Resolves when the repository knows all that these clients hold. */
  async published(...clients: readonly Client[]): Promise<void> {
    const signal = AbortSignal.timeout(120_000);
    for (const { state } of clients) await waitUntilPublished(state, { ...this.#run, signal });
  }

  async dispose(): Promise<void> {
    await Promise.all(this.#daemons.toReversed().map((daemon) => daemon.stop()));
    await cleanUp(this.directory);
  }

  get #known() {
    if (this.#repository === undefined) throw new Error('the repository was not started');
    return this.#repository;
  }

  #merge(options: RunOptions): RunOptions {
    return { ...options, env: { ...this.#run.env, ...options.env } };
  }
}

/** Unless it is there, or the dead mount of a daemon that was killed is. */
function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOTCONN') throw error;
  }
}

export function makeStage(t: TestContext): Stage {
  const stage = new Stage(mkdtempSync(join(realpathSync(tmpdir()), 'covault-e2e-')));
  t.after(() => stage.dispose());
  return stage;
}
