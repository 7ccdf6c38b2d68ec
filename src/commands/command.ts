/** What a command is: a value that describes its command line, and a function that does it and returns data. */
import type { Clock } from '../core/clock.ts';
import { CovaultError } from '../core/errors.ts';
import type { Environment } from './environment.ts';
import type { Logger } from './logging.ts';
import type { Progress } from './progress.ts';
import type { Terminal } from './terminal.ts';

export interface Parameter {
  /** As it stands in the usage line: "DATA_DIR". */
  name: string;
  summary: string;
  /** It may be left out. */
  optional?: boolean;
}

export interface Option {
  /** As commander reads it: "--at <directory>", "--read-data". */
  flags: string;
  summary: string;
  choices?: readonly string[];
  default?: string;
  /** May be given several times; its value is then a list. */
  repeatable?: boolean;
}

export interface Command {
  /** One word, or two for a command within another: "repository invite". */
  name: string;
  summary: string;
  /** Paragraphs shown by `--help` after the summary. */
  description?: string;
  parameters: readonly Parameter[];
  options: readonly Option[];
  /** Exit statuses besides 0, 1, 2 and 130, which every command has. */
  exitCodes: readonly number[];
  /** Pairs of a command line and what it does. */
  examples: readonly (readonly [string, string])[];
  run(call: Call): Promise<Outcome>;
}

/** One use of a command. */
export interface Call {
  parameters: readonly string[];
  options: Record<string, unknown>;
  environment: Environment;
  terminal: Terminal;
  progress: Progress;
  log: Logger;
  clock: Clock;
  /** Whether answers are JSON. */
  json: boolean;
  /** Aborted by SIGINT and SIGTERM: stop in order. */
  signal: AbortSignal;
  /** Tells something before the end: a ready line, a warning. One JSON object with `--json`, else the lines. */
  announce(event: Record<string, unknown>, lines: readonly string[]): void;
}

export interface Outcome {
  /** The last line with `--json`. */
  result: Record<string, unknown>;
  /** The same for people. */
  lines: readonly string[];
  /** 0 if absent. */
  exitCode?: number;
}

/** Options that every command has. */
export const commonOptions: readonly Option[] = [
  { flags: '--json', summary: 'answer with JSON, one object a line, on standard output' },
  { flags: '--log-level <level>', summary: 'what to log on standard error: silent, error, warn, info, debug or trace' },
];

export const stateOption: Option = {
  flags: '--state <directory>',
  summary: 'where this member keeps its state (else COVAULT_STATE, else ~/.local/state/covault)',
};

export function stateDirectoryOf(call: Call): string {
  return textOption(call, 'state') ?? call.environment.stateDirectory;
}

/** The parameter at `position`; the command line has been checked to have it. */
export function parameter(call: Call, position: number): string {
  const value = call.parameters[position];
  if (value === undefined) throw new CovaultError('E_BAD_INPUT', `parameter ${position + 1} is missing`);
  return value;
}

/** @param name in camel case: "passwordFile" for `--password-file`. */
export function textOption(call: Call, name: string): string | undefined {
  const value = call.options[name];
  return typeof value === 'string' ? value : undefined;
}

/** @throws CovaultError `E_BAD_INPUT` if it was not given. */
export function neededOption(call: Call, name: string): string {
  const value = textOption(call, name);
  if (value !== undefined) return value;
  const flag = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  throw new CovaultError('E_BAD_INPUT', `the option --${flag} is needed`, { hint: 'see the command with --help' });
}

export function listOption(call: Call, name: string): string[] {
  const value = call.options[name];
  return Array.isArray(value) ? value.map(String) : [];
}

export function flagOption(call: Call, name: string): boolean {
  return call.options[name] === true;
}

/** Where to listen: "127.0.0.1:7000", "[::1]:7000", ":7000", "0.0.0.0:0"; port 0 takes a free one. */
export function parseListen(text: string): { host: string; port: number } {
  const [, bracketed, plain, digits] = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]*)):(\d{1,5})$/i.exec(text) ?? [];
  const port = Number(digits);
  if (digits === undefined || port > 65_535) {
    throw new CovaultError('E_BAD_INPUT', `not an address to listen on: ${JSON.stringify(text)}`, {
      hint: 'write HOST:PORT, like 0.0.0.0:7420 or [::1]:7420; port 0 takes a free one',
    });
  }
  return { host: bracketed ?? (plain || '0.0.0.0'), port };
}
