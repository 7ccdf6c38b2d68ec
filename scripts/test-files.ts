/** Runs test files with `node:test`, a process each, and prints a line for each file and each failure. */
import { resolve as absolute, relative } from 'node:path';
import { run } from 'node:test';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';

export interface Counts {
  tests: number;
  suites: number;
  passed: number;
  failed: number;
  cancelled: number;
  skipped: number;
  todo: number;
}

/** Imported by the process of each test file. */
const keepAwake = fileURLToPath(new URL('./keep-awake.ts', import.meta.url));

/** Of one failure; the whole of what was compared may be long. */
const errorCharsMax = 5000;

/** A file that takes longer than this has hung. */
const standardTimeoutMs = 8 * 60 * 1000;

export interface RunOptions {
  /** How many files run at a time. */
  concurrency: number;
  /** Ends the run early; what had not finished counts as cancelled. */
  signal: AbortSignal;
  /** For a whole file. */
  timeoutMs?: number;
  /** Print what the tests print as it comes, not only that of a file that fails. */
  speaks?: boolean;
}

export function noCounts(): Counts {
  return { tests: 0, suites: 0, passed: 0, failed: 0, cancelled: 0, skipped: 0, todo: 0 };
}

export function addCounts(sum: Counts, more: Counts): void {
  for (const name of Object.keys(sum) as (keyof Counts)[]) sum[name] += more[name];
}

export async function runTestFiles(files: string[], options: RunOptions): Promise<Counts> {
  const { concurrency, signal, timeoutMs = standardTimeoutMs, speaks = false } = options;
  const counts = noCounts();
  const output = new Map<string, string[]>();
  const execArgv = ['--import', keepAwake];
  const stream = run({ files, concurrency, timeout: timeoutMs, isolation: 'process', signal, execArgv });
  const keep = ({ file = '', message }: { file?: string | undefined; message: string }) => {
    if (speaks) process.stdout.write(indent(message.trimEnd()).concat('\n'));
    const path = absolute(file);
    output.set(path, [...(output.get(path) ?? []), message]);
  };
  stream.on('test:stdout', keep);
  stream.on('test:stderr', keep);
  stream.on('test:pass', ({ skip, name }) => {
    if (skip !== undefined) print(`  ﹣ ${name} # ${skip === true ? 'skipped' : skip}`);
  });
  stream.on('test:fail', ({ name, file, line, details }) => {
    // A suite fails because a test in it did, which has been reported.
    if (details.type === 'suite' || /^\d+ subtests? failed$/.test(details.error.message)) return;
    print(
      `  ✖ ${name} (${relative('.', file ?? '')}:${line})\n${indent(describeError(details.error.cause ?? details.error))}`,
    );
  });
  stream.on('test:summary', ({ file, counts: fileCounts, success, duration_ms }) => {
    if (file === undefined) {
      const { tests, suites, passed, failed, cancelled, skipped, todo } = fileCounts as unknown as Counts;
      addCounts(counts, { tests, suites, passed, failed: failed ?? 0, cancelled, skipped, todo });
      return;
    }
    const seconds = (duration_ms / 1000).toFixed(1);
    print(`${success ? '✔' : '✖'} ${relative('.', file)}: ${fileCounts.passed} of ${fileCounts.tests} in ${seconds} s`);
    if (!success) print(indent((output.get(absolute(file)) ?? []).join('')));
    output.delete(absolute(file));
  });
  stream.resume();
  await new Promise((resolve) => stream.once('close', resolve).once('end', resolve));
  return counts;
}

/** The stack, without the values that were compared. */
function describeError(error: unknown): string {
  const text = error instanceof Error ? (error.stack ?? error.message) : inspect(error);
  return text.length <= errorCharsMax ? text : `${text.slice(0, errorCharsMax)}…`;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function indent(text: string): string {
  return text.replace(/^/gm, '    ');
}
