/** The program `covault`: runs the command line and ends the process with the status that it leads to. */
import { readFileSync } from 'node:fs';
import { loadCommands } from './commands/commands.ts';
import { readEnvironment } from './commands/environment.ts';
import { runProgram } from './commands/program.ts';
import { drainTerminal, openTerminal } from './commands/terminal.ts';
import { keepThreadPoolAwake } from './commands/thread-pool.ts';
import { limitEnd } from './fs/addon.ts';

/** How long threads that wait for a disk that hangs may hold up the end, milliseconds. */
const endMsMax = 5000;

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));

keepThreadPoolAwake();
const environment = readEnvironment();
const exitCode = await runProgram({
  commands: await loadCommands(environment.words),
  environment,
  terminal: openTerminal(),
  version: String(version),
  hardStop: end,
});
await drainTerminal();
end(exitCode);

function end(status: number): never {
  // After all that others do at the exit.
  process.once('exit', () => limitEnd(status, endMsMax));
  process.exit(status);
}
