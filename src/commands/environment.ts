/** The only place that reads the environment and the command line. */
import { homedir } from 'node:os';
import { join } from 'node:path';

export interface Environment {
  /** The command line without the program's own name. */
  readonly words: readonly string[];
  /** Where a member keeps its state if `--state` does not say otherwise. */
  readonly stateDirectory: string;
  /** Password of a store, for scripts; undefined if not given. */
  readonly password: string | undefined;
  /** Name of the logged level if `--log-level` does not say otherwise. */
  readonly logLevel: string | undefined;
}

export function readEnvironment(): Environment {
  const { COVAULT_STATE, COVAULT_PASSWORD, COVAULT_LOG, XDG_STATE_HOME } = process.env;
  const stateHome = XDG_STATE_HOME || join(homedir(), '.local', 'state');
  return Object.freeze({
    words: process.argv.slice(2),
    stateDirectory: COVAULT_STATE || join(stateHome, 'covault'),
    password: COVAULT_PASSWORD,
    logLevel: COVAULT_LOG,
  });
}
