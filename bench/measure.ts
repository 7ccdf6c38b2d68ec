/** Timing of whole commands and the statistics of repeated runs. */
import { spawn } from 'node:child_process';

export interface Command {
  program: string;
  args: string[];
  directory: string;
  env?: NodeJS.ProcessEnv;
}

/** Runs a command to its end. Returns its wall-clock seconds and what it printed; throws if it fails. */
export async function runTimed(command: Command): Promise<{ seconds: number; output: string }> {
  const start = performance.now();
  const child = spawn(command.program, command.args, {
    cwd: command.directory,
    env: { ...process.env, ...command.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output: string[] = [];
  const errors: string[] = [];
  // Whatever does not fit is dropped: `grep -r` and `git` may print much, only the driver's line is read.
  child.stdout.setEncoding('utf8').on('data', (text: string) => output.length < 64 && output.push(text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => errors.length < 64 && errors.push(text));
  const status = await new Promise<number | NodeJS.Signals>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve(code ?? signal ?? -1));
  });
  const seconds = (performance.now() - start) / 1000;
  if (status !== 0) {
    const line = [command.program, ...command.args].join(' ');
    throw new Error(`${line} ended with ${status} in ${command.directory}\n${errors.join('').slice(-2000)}`);
  }
  return { seconds, output: output.join('') };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle];
  if (upper === undefined) throw new Error('median of nothing');
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? upper)) / 2;
}
