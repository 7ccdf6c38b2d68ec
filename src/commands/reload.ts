/** `covault reload`: lets the daemon of a state directory read its settings anew. */
import { exitCodes } from '../core/exit-codes.ts';
import { type Command, stateDirectoryOf, stateOption } from './command.ts';
import { askDaemon } from './control.ts';
import { loadSettings } from './settings.ts';

export const reloadCommand: Command = {
  name: 'reload',
  summary: 'let the daemon read settings.json anew',
  description:
    'What other members may take from this one is written in settings.json of the state directory. A file that is wrong ' +
    'is refused, and what was read before goes on to hold.',
  parameters: [],
  options: [stateOption],
  exitCodes: [exitCodes.notFound, exitCodes.unavailable, exitCodes.io],
  examples: [['covault reload', 'after settings.json was changed']],
  async run(call) {
    const stateDirectory = stateDirectoryOf(call);
    // Checked here as well, where the error can be told in full.
    await loadSettings(stateDirectory);
    await askDaemon(stateDirectory, 'reload');
    return { result: { type: 'reloaded' }, lines: ['the settings were read anew'] };
  },
};
