/** All commands, in the order in which help lists them. */
import { browseCommand } from './browse.ts';
import { checkCommand } from './check.ts';
import type { Command } from './command.ts';
import { joinCommand } from './join.ts';
import { mountCommand } from './mount.ts';
import { inviteCommand, repositoryCommand } from './repository.ts';
import { restoreCommand } from './restore.ts';
import { snapshotsCommand } from './snapshots.ts';
import { statusCommand } from './status.ts';
import { unmountCommand } from './unmount.ts';

export const commands: readonly Command[] = [
  repositoryCommand,
  inviteCommand,
  joinCommand,
  mountCommand,
  statusCommand,
  unmountCommand,
  snapshotsCommand,
  browseCommand,
  restoreCommand,
  checkCommand,
];
