/** restic and Borg with a local repository each, as their manuals say for a first and every further backup. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { runTimed } from '../measure.ts';

export type PeerName = 'restic' | 'borg';

export interface Peer {
  name: PeerName;
  /** Makes the repository and the first backup. */
  begin(): Promise<void>;
  /** Seconds of a further backup. */
  again(): Promise<number>;
  remove(): Promise<void>;
}

/** @param place where repository, cache and keys are put. */
export function peersFor(data: string, place: string): Peer[] {
  return [restic(data, join(place, 'restic')), borg(data, join(place, 'borg'))];
}

function restic(data: string, place: string): Peer {
  const env = { RESTIC_PASSWORD: 'correct horse', RESTIC_CACHE_DIR: join(place, 'cache') };
  const act = (...args: string[]) =>
    runTimed({ program: 'restic', args: ['--quiet', '--repo', join(place, 'repo'), ...args], directory: data, env });
  return {
    name: 'restic',
    async begin() {
      await act('init');
      await act('backup', '.');
    },
    again: async () => (await act('backup', '.')).seconds,
    remove: () => rm(place, { recursive: true, force: true }),
  };
}

function borg(data: string, place: string): Peer {
  const repository = join(place, 'repo');
  const env = { BORG_PASSPHRASE: 'correct horse', BORG_BASE_DIR: join(place, 'base') };
  let count = 0;
  const act = (...args: string[]) => runTimed({ program: 'borg', args, directory: data, env });
  const create = () => act('create', `${repository}::${count++}`, '.');
  return {
    name: 'borg',
    async begin() {
      await runTimed({ program: 'mkdir', args: ['-p', place], directory: '/' });
      await act('init', '--encryption', 'repokey', repository);
      await create();
    },
    again: async () => (await create()).seconds,
    remove: () => rm(place, { recursive: true, force: true }),
  };
}
