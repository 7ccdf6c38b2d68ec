/** The program `covault`: runs the command line and ends the process with the status that it leads to. */
import { readFileSync } from 'node:fs';
import { loadCommands } from './commands/commands.ts';
import { readEnvironment } from './commands/environment.ts';
import { runProgram } from './commands/program.ts';
import { drainTerminal, openTerminal } from './commands/terminal.ts';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));

const environment = readEnvironment();
const exitCode = await runProgram({
  commands: await loadCommands(environment.words),
  environment,
  terminal: openTerminal(),
  version: String(version),
  hardStop: (status) => process.exit(status),
});
await drainTerminal();
process.exit(exitCode);
