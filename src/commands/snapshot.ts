/** `covault snapshot CLIENT --to STORE`: makes a secondary copy of a client, mostly from other clients. */
import { exitCodes } from '../core/exit-codes.ts';
import { type Command, flagOption, neededOption, stateOption } from './command.ts';
import { newPasswordOption, passwordOptions } from './password.ts';
import { askForStore } from './store-access.ts';

const defaultPatience = '60s';

export const snapshotCommand: Command = {
  name: 'snapshot',
  summary: 'make a secondary copy of a client in a store',
  description:
    'Blocks that the store lacks come from whichever clients hold them; from the client itself only what nobody else ' +
    'has. Makes the store if there is none. Stopped at any point, it can be run again: nothing is pulled twice. Files ' +
    'that change all the time are named, have no content in the snapshot, and make it end with status 3.',
  parameters: [{ name: 'CLIENT', summary: 'the name of the client in its domain' }],
  options: [
    { flags: '--to <store>', summary: 'the directory of the store' },
    { flags: '--patience <duration>', summary: 'how long to wait for a client that is away', default: defaultPatience },
    { flags: '--dry-run', summary: 'only show what would be pulled from whom; stores nothing' },
    { flags: '--source-limit <size>', summary: 'bytes a second at most from the client itself: 10MB' },
    { flags: '--source-deadline <duration>', summary: 'after this long the client itself may be used freely: 2h' },
    stateOption,
    ...passwordOptions,
    newPasswordOption,
  ],
  exitCodes: [
    exitCodes.incomplete,
    exitCodes.notFound,
    exitCodes.denied,
    exitCodes.unavailable,
    exitCodes.corrupt,
    exitCodes.io,
  ],
  examples: [
    ['covault snapshot laptop --to /backups/vault', 'asks for the password; twice when it makes the store'],
    ['covault snapshot laptop --to /backups/vault --dry-run', 'shows what would come from whom'],
    [
      'covault snapshot laptop --to /backups/vault --new-password-file ~/secret',
      'makes the store and a password for it',
    ],
    ['covault snapshot laptop --to /backups/vault --password-file ~/secret --json', 'for a script, from then on'],
  ],
  async run(call) {
    // Deriving the store's key takes as long as loading the rest and finding the client: it is begun before.
    const store = flagOption(call, 'dryRun') ? undefined : await askForStore(call, neededOption(call, 'to'));
    const { makeSnapshot, showPlan } = await import('./run-snapshot.ts');
    return store ? makeSnapshot(call, store) : showPlan(call);
  },
};
