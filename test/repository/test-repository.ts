/** A repository for tests, over real HTTPS on loopback, and members that join it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import type { TestContext } from 'node:test';
import type { Clock } from '../../src/core/clock.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { Domain } from '../../src/core/domain.ts';
import type { Identity } from '../../src/remote/identity.ts';
import { join } from '../../src/remote/join.ts';
import type { Role } from '../../src/remote/member.ts';
import { openRepositoryClient, type RepositoryClient } from '../../src/remote/repository-client.ts';
import { createJoinToken } from '../../src/repository/join-tokens.ts';
import { type Repository, type RepositoryOptions, startRepository } from '../../src/repository/repository.ts';

export interface TestRepository {
  stateDirectory: string;
  url: string;
  current: Repository;
  /** Closes it and starts it again on the same port. */
  restart(): Promise<void>;
  token(role?: Exclude<Role, 'repository'>, name?: string): Promise<string>;
  /** Joins; the client is closed with the test. */
  join(name: string, role?: Exclude<Role, 'repository'>): Promise<TestMember>;
}

export interface TestMember {
  identity: Identity;
  domain: Domain;
  client: RepositoryClient;
}

/** A clock that stands still until it is moved; the monotonic one too. */
export class TestClock implements Clock {
  #ms = systemClock.nowMs();
  nowMs(): number {
    return this.#ms;
  }
  monotonicMs(): number {
    return this.#ms;
  }
  advance(ms: number): void {
    this.#ms += ms;
  }
}

export async function temporaryDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(joinPath(tmpdir(), 'covault-repository-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

export async function startTestRepository(
  t: TestContext,
  options: Partial<RepositoryOptions> = {},
): Promise<TestRepository> {
  const stateDirectory = options.stateDirectory ?? (await temporaryDirectory(t));
  const start = (port: number) =>
    startRepository({
      stateDirectory,
      host: '127.0.0.1',
      port,
      onDefect: (error) => t.diagnostic(`defect: ${error instanceof Error ? error.stack : String(error)}`),
      ...options,
    });
  const repository: TestRepository = {
    stateDirectory,
    current: await start(0),
    get url() {
      return this.current.url;
    },
    async restart() {
      await this.current.close();
      this.current = await start(this.current.port);
    },
    token: (role = 'client', name) =>
      createJoinToken({
        stateDirectory,
        role,
        ...(name === undefined ? {} : { name }),
        ...(options.clock === undefined ? {} : { clock: options.clock }),
      }),
    async join(name, role = 'client') {
      const joined = await join({ url: this.url, token: await this.token(role), name });
      const client = openRepositoryClient({ identity: joined.identity, url: this.url });
      t.after(() => client.close());
      return { ...joined, client };
    },
  };
  t.after(() => repository.current.close());
  return repository;
}
