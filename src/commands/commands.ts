/** All commands, in the order in which help lists them. A command's code is loaded only when it is named. */
import type { Command } from './command.ts';

const loaders: Record<string, () => Promise<Command[]>> = {
  repository: async () => {
    const { repositoryCommand, inviteCommand } = await import('./repository.ts');
    return [repositoryCommand, inviteCommand];
  },
  join: async () => [(await import('./join.ts')).joinCommand],
  mount: async () => [(await import('./mount.ts')).mountCommand],
  status: async () => [(await import('./status.ts')).statusCommand],
  reload: async () => [(await import('./reload.ts')).reloadCommand],
  unmount: async () => [(await import('./unmount.ts')).unmountCommand],
  snapshot: async () => [(await import('./snapshot.ts')).snapshotCommand],
  snapshots: async () => [(await import('./snapshots.ts')).snapshotsCommand],
  browse: async () => [(await import('./browse.ts')).browseCommand],
  restore: async () => [(await import('./restore.ts')).restoreCommand],
  check: async () => [(await import('./check.ts')).checkCommand],
};

/** The commands that the words may mean: the one that is named, or all, for help and for suggestions. */
export async function loadCommands(words: readonly string[]): Promise<Command[]> {
  const [name = ''] = words;
  const wanted = Object.hasOwn(loaders, name) ? [name] : Object.keys(loaders);
  return (await Promise.all(wanted.map((known) => loaders[known]?.() ?? []))).flat();
}
