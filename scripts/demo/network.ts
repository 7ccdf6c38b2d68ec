/** One signature repository, three clients and a secondary on this machine, each in a process of its own. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Daemon, type RunOptions, runCovaultWell, startCovault } from '../covault-process.ts';

export const clientNames = ['laptop', 'desktop', 'server'] as const;
export type ClientName = (typeof clientNames)[number];
export const secondaryName = 'vault';

export interface Network {
  repositoryUrl: string;
  clients: Record<ClientName, { mountpoint: string; state: string; daemon: Daemon }>;
  /** State directory of the secondary. */
  secondaryState: string;
  /** The repository, last to be stopped. */
  repository: Daemon;
}

/** Below `directory`: a state directory for each member and a data directory for each client. */
export async function startNetwork(
  directory: string,
  run: RunOptions,
  onDaemon: (daemon: Daemon) => void,
): Promise<Network> {
  const stateOf = (name: string) => join(directory, 'state', name);
  const repositoryState = stateOf('repository');
  const listen = ['--listen', '127.0.0.1:0'];
  const repository = await startCovault(['repository', '--state', repositoryState, ...listen], run);
  onDaemon(repository);
  const url = String(repository.ready.url);
  const joinAs = async (name: string, role: string) => {
    const invitation = ['repository', 'invite', '--role', role, '--name', name, '--state', repositoryState];
    const { token } = await runCovaultWell(invitation, run);
    await runCovaultWell(['join', url, '--token', String(token), '--name', name, '--state', stateOf(name)], run);
  };
  const startClient = async (name: ClientName) => {
    const mountpoint = join(directory, 'data', name);
    await mkdir(mountpoint, { recursive: true });
    await joinAs(name, 'client');
    const daemon = await startCovault(['mount', mountpoint, '--state', stateOf(name), ...listen], run);
    onDaemon(daemon);
    return { mountpoint, state: stateOf(name), daemon };
  };
  // One after the other: the machine may be small, and nothing is gained by haste.
  const laptop = await startClient('laptop');
  const desktop = await startClient('desktop');
  const server = await startClient('server');
  await joinAs(secondaryName, 'secondary');
  return {
    repositoryUrl: url,
    clients: { laptop, desktop, server },
    secondaryState: stateOf(secondaryName),
    repository,
  };
}

/** How far a client's index is, and the repository with what it was told. */
export interface Level {
  isLevel: boolean;
  /** Changes not yet told to the repository. */
  behind: number;
  /** Files not yet hashed. */
  filesWaiting: number;
}

/** Resolves when the index of the client is level and the repository knows all of it. */
export async function waitUntilPublished(
  state: string,
  options: RunOptions & { signal: AbortSignal; onLevel?(level: Level): void },
): Promise<void> {
  const { onLevel, ...run } = options;
  // Twice, since the last mutations may still be on their way to the index.
  for (let published = 0; published < 2; ) {
    options.signal.throwIfAborted();
    const { index, repository } = await runCovaultWell(['status', '--state', state], run);
    const filesWaiting = Number(index.filesDirty) + Number(index.filesBeingHashed);
    const level = { isLevel: index.isLevel === true, behind: Number(repository.behind), filesWaiting };
    onLevel?.(level);
    published = level.isLevel && level.behind === 0 ? published + 1 : 0;
    await sleep(200);
  }
}
