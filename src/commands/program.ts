/**
 * The command line: finds the command, runs it, prints what it returns. The only import of `commander` and the only
 * place where results and errors are printed.
 */
import { Command as CommanderCommand, CommanderError, Option as CommanderOption } from 'commander';
import { type Clock, systemClock } from '../core/clock.ts';
import { CovaultError, isCovaultError, systemErrorCode } from '../core/errors.ts';
import { exitCodeOf, exitCodes } from '../core/exit-codes.ts';
import { type Call, type Command, commonOptions, type Option, type Outcome, textOption } from './command.ts';
import type { Environment } from './environment.ts';
import { helpAfter } from './help.ts';
import { watchSignals } from './interruption.ts';
import { defaultLogLevel, openLog } from './logging.ts';
import { noProgress, type Progress, progressAsBar, progressAsLines } from './progress.ts';
import type { Terminal } from './terminal.ts';

export interface ProgramOptions {
  commands: readonly Command[];
  environment: Environment;
  terminal: Terminal;
  version: string;
  clock?: Clock;
  /** Ends the process at once with this status; for a second signal. */
  hardStop(exitCode: number): void;
}

/** Runs the command that the environment's words name. Resolves with the exit status; never rejects. */
export async function runProgram(options: ProgramOptions): Promise<number> {
  const { commands, environment, terminal, version } = options;
  let exitCode: number = exitCodes.ok;
  const root = new CommanderCommand('covault')
    .description('Collaborative backup: secondary copies made mostly from other machines')
    .version(version, '--version', 'print the version')
    .helpCommand(false)
    .enablePositionalOptions();
  const groups = new Map<string, CommanderCommand>([['', root]]);
  for (const command of commands) {
    const words = command.name.split(' ');
    const parent = groups.get(words.slice(0, -1).join(' ')) ?? root;
    const described = describe(command, parent.command(words.at(-1) ?? ''));
    described.action(async (...values: unknown[]) => {
      const parameters = command.parameters.flatMap((_, position) => {
        const value = values[position];
        return value === undefined ? [] : [String(value)];
      });
      exitCode = await runCommand(command, parameters, described.opts(), options);
    });
    groups.set(command.name, described);
  }
  for (const known of [root, ...groups.values()]) prepare(known, terminal);
  try {
    await root.parseAsync([...environment.words], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.ok;
    return printError(asUsageError(error), terminal, environment.words.includes('--json'));
  }
}

/** Errors are thrown, not printed, and nothing ends the process. */
function prepare(command: CommanderCommand, terminal: Terminal): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => terminal.print(text.replace(/\n$/, '')),
    // A bare `covault` asks for help; parsing errors come back as exceptions.
    writeErr: (text) => terminal.note(text.replace(/\n$/, '')),
    outputError: () => undefined,
  });
}

function describe(command: Command, described: CommanderCommand): CommanderCommand {
  described.summary(command.summary).description([command.summary, command.description ?? []].flat().join('\n\n'));
  for (const { name, summary, optional } of command.parameters) {
    described.argument(optional ? `[${name}]` : `<${name}>`, summary);
  }
  for (const option of [...command.options, ...commonOptions]) described.addOption(asCommanderOption(option));
  return described.addHelpText('after', helpAfter(command));
}

function asCommanderOption({ flags, summary, choices, default: value, repeatable }: Option): CommanderOption {
  const option = new CommanderOption(flags, summary);
  if (choices) option.choices([...choices]);
  if (value !== undefined) option.default(value);
  if (repeatable) option.argParser((text: string, list: unknown) => [...(Array.isArray(list) ? list : []), text]);
  return option;
}

async function runCommand(
  command: Command,
  parameters: string[],
  values: Record<string, unknown>,
  { environment, terminal, clock = systemClock, hardStop }: ProgramOptions,
): Promise<number> {
  const json = values.json === true;
  const interruption = watchSignals(clock, () => hardStop(exitCodes.interrupted));
  const progress = await openProgress(json, terminal, clock);
  try {
    const call: Call = {
      parameters,
      options: values,
      environment,
      terminal,
      progress,
      clock,
      json,
      signal: interruption.signal,
      log: openLog(textOption({ options: values } as Call, 'logLevel') ?? environment.logLevel ?? defaultLogLevel),
      announce: (event, lines) => {
        progress.end();
        for (const line of json ? [JSON.stringify(event)] : lines) terminal.print(line);
      },
    };
    const outcome = await command.run(call);
    progress.end();
    printOutcome(outcome, terminal, json);
    return outcome.exitCode ?? exitCodes.ok;
  } catch (error) {
    progress.end();
    // Whatever an orderly end made fail, the user asked for it.
    const reported = interruption.signal.aborted ? interruption.signal.reason : error;
    return printError(reported, terminal, json);
  } finally {
    interruption.dispose();
  }
}

async function openProgress(json: boolean, terminal: Terminal, clock: Clock): Promise<Progress> {
  if (json) return progressAsLines(terminal.print, clock);
  if (terminal.noteStream.isTTY !== true) return noProgress;
  const { openProgressBar } = await import('./progress-bar.ts');
  return progressAsBar(openProgressBar(terminal.noteStream));
}

function printOutcome(outcome: Outcome, terminal: Terminal, json: boolean): void {
  if (json) terminal.print(JSON.stringify(outcome.result));
  else for (const line of outcome.lines) terminal.print(line);
}

/** Prints what went wrong and returns the exit status for it. */
function printError(error: unknown, terminal: Terminal, json: boolean): number {
  const { code, message, hint } = explain(error);
  if (json) {
    terminal.print(JSON.stringify({ type: 'error', code, message, hint }));
  } else if (isCovaultError(error, 'E_INTERRUPTED')) {
    terminal.note(message);
  } else {
    terminal.note(`error: ${message}`);
  }
  if (hint !== undefined && !json) terminal.note(`hint: ${hint}`);
  if (error instanceof CovaultError) return exitCodeOf(error.code);
  return systemErrorCode(error) === undefined ? exitCodes.failure : exitCodes.io;
}

/** `E_UNEXPECTED` is for what should not happen: a defect, or a refusal of the system that nobody foresaw. */
function explain(error: unknown): { code: string; message: string; hint: string | undefined } {
  if (isCovaultError(error)) {
    const cause =
      error.cause instanceof Error && !error.message.includes(error.cause.message) ? error.cause.message : '';
    return { code: error.code, message: cause ? `${error.message}: ${cause}` : error.message, hint: error.hint };
  }
  if (systemErrorCode(error) !== undefined)
    return { code: 'E_IO', message: String((error as Error).message), hint: undefined };
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { code: 'E_UNEXPECTED', message, hint: 'this is a defect of Covault: please report it with these lines' };
}

function asUsageError(error: unknown): unknown {
  if (!(error instanceof CommanderError)) return error;
  const message = error.message.replace(/^error: /, '').replace(/\n/g, ' ');
  const isBare = error.code === 'commander.help';
  return new CovaultError('E_BAD_INPUT', isBare ? 'no command was given' : message, {
    hint: 'see `covault --help`, or the command with --help',
  });
}
