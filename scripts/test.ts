/**
 * Runs everything that must hold, and one summary at the end.
 *
 *   npm test                     lint, types, addon, native tests, all test files
 *   npm test -- index store     only the test files whose path contains one of the words
 *   npm run test:long           the addon, then the long suites in `test/long`, one after the other; words as above
 *   … --built                   with the addon as it is
 *
 * Test files run in processes of their own, with a TMPDIR of this run; whatever is left in it or below it when all is
 * done (a mount, a process, a file) fails the run and is cleaned up.
 */
import { spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { chmodSync, globSync, mkdtempSync, realpathSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { cleanUp, findLeftovers } from './leftovers.ts';
import { addCounts, type Counts, noCounts, runTestFiles } from './test-files.ts';

const projectDirectory = fileURLToPath(new URL('..', import.meta.url));

/** Not part of `npm test`. */
const longFolder = 'test/long/';

/** A long suite that takes longer than this has hung, milliseconds. */
const longTimeoutMs = 4 * 60 * 60_000;

/** These start daemons and load the machine; side by side they would only wait for each other. */
const oneByOne = ['test/e2e/'];

const { values: options, positionals: words } = parseArgs({
  allowPositionals: true,
  options: { long: { type: 'boolean', default: false }, built: { type: 'boolean', default: false } },
});
const isWholeRun = words.length === 0 && !options.long;
process.chdir(projectDirectory);
// The tools that npm installed come before any of the same name.
process.env.PATH = `${join(projectDirectory, 'node_modules/.bin')}:${process.env.PATH}`;

const failedSteps: string[] = [];
const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (!interrupted.signal.aborted) failedSteps.push(`stopped by ${signal}`);
    interrupted.abort();
  });
}

function step(name: string, program: string, parameters: string[]): void {
  process.stdout.write(`▶ ${name}\n`);
  const { status, error } = spawnSync(program, parameters, { stdio: 'inherit' });
  if (status === 0) return;
  failedSteps.push(`${name}${error ? `: ${error.message}` : ''}`);
}

function runSteps(): void {
  if (isWholeRun) {
    step('lint', 'biome', ['check', '.']);
    step('types', 'tsc', ['-p', '.']);
  }
  if (!options.built) step('addon', process.execPath, ['scripts/build-addon.mjs']);
  if (isWholeRun) {
    const out = join(projectDirectory, 'native/build/unit');
    step('native tests', 'make', [
      '-s',
      '-j',
      String(availableParallelism()),
      '-C',
      'native/test',
      'unit',
      `OUT=${out}`,
    ]);
  }
}

async function runTests(): Promise<Counts> {
  const files = globSync('test/**/*.test.ts')
    .filter((path) => path.startsWith(longFolder) === options.long)
    .filter((path) => words.length === 0 || words.some((word) => path.includes(word)))
    .sort();
  if (files.length === 0) failedSteps.push(`no test file's path contains ${words.join(' or ')}`);
  if (options.long) return runLongSuites(files);
  const isAlone = (path: string) => oneByOne.some((folder) => path.startsWith(folder));
  const together = files.filter((path) => !isAlone(path));
  const alone = files.filter(isAlone);
  const counts = noCounts();
  const { signal } = interrupted;
  if (together.length > 0) {
    addCounts(counts, await runTestFiles(together, { concurrency: availableParallelism(), signal }));
  }
  if (alone.length > 0) addCounts(counts, await runTestFiles(alone, { concurrency: 1, signal }));
  return counts;
}

/** One process each, one after the other, telling how far they are. */
async function runLongSuites(files: string[]): Promise<Counts> {
  process.env.COVAULT_LONG_SEED ||= String(randomInt(1, 2 ** 31));
  const { COVAULT_LONG_SEED: seed, COVAULT_LONG_SECONDS: seconds, COVAULT_LONG_COUNT: count } = process.env;
  process.stdout.write(`▶ long suites: COVAULT_LONG_SEED=${seed}`);
  process.stdout.write(
    `${seconds ? ` COVAULT_LONG_SECONDS=${seconds}` : ''}${count ? ` COVAULT_LONG_COUNT=${count}` : ''}\n`,
  );
  const counts = noCounts();
  for (const [i, file] of files.entries()) {
    if (interrupted.signal.aborted) break;
    process.stdout.write(`▶ ${file} (${i + 1} of ${files.length})\n`);
    const { signal } = interrupted;
    addCounts(counts, await runTestFiles([file], { concurrency: 1, signal, timeoutMs: longTimeoutMs, speaks: true }));
  }
  return counts;
}

function reportLeftovers(directory: string): void {
  const { mounts, processes, files } = findLeftovers(directory);
  for (const mount of mounts) failedSteps.push(`left behind: mount ${mount}`);
  for (const process of processes) failedSteps.push(`left behind: process ${process}`);
  for (const file of files) failedSteps.push(`left behind: ${join(directory, file)}`);
}

const startedMs = performance.now();
const runDirectory = mkdtempSync(join(realpathSync(tmpdir()), 'covault-test-'));
// Tests that act as another user go through it, as they go through the system's own.
chmodSync(runDirectory, 0o755);
process.env.TMPDIR = runDirectory;
let counts = noCounts();
try {
  runSteps();
  counts = await runTests();
  reportLeftovers(runDirectory);
} finally {
  await cleanUp(runDirectory);
}

for (const name of ['tests', 'suites', 'passed', 'failed', 'cancelled', 'skipped', 'todo'] as const) {
  const label = { passed: 'pass', failed: 'fail' }[name as string] ?? name;
  process.stdout.write(`ℹ ${label} ${counts[name]}\n`);
}
process.stdout.write(`ℹ duration_ms ${Math.round(performance.now() - startedMs)}\n`);
for (const name of failedSteps) process.stdout.write(`✖ ${name}\n`);
const isGood = failedSteps.length === 0 && counts.failed === 0 && counts.cancelled === 0 && counts.passed > 0;
process.stdout.write(isGood ? '✔ everything passed\n' : '✖ not everything passed\n');
process.exit(isGood ? 0 : 1);
