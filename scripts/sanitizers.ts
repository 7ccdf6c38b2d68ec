/**
 * Runs the native unit tests and the tests of the mount under sanitizers: AddressSanitizer with
 * UndefinedBehaviorSanitizer, then ThreadSanitizer.
 *
 *   npm run test:sanitizers             both
 *   npm run test:sanitizers -- thread   one of `address`, `thread`
 *
 * The addon is built in a copy of the project below `native/build/sanitized`, so that the usual build stays as it is. Node.js
 * itself is not instrumented; the sanitizer's library is preloaded. Any report of any process fails the run. Ends with
 * status 0 if all is clean, 1 if not, and 10 if this machine lacks clang or a library.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { exitCodes } from '../src/core/exit-codes.ts';

const projectDirectory = fileURLToPath(new URL('..', import.meta.url));
const built = join(projectDirectory, 'native/build/sanitized');

/** What exercises the addon: paths of test files contain one of these. */
const testWords = ['test/fs/', 'test/index/mounted'];

/** What the tests need of the project; packages are linked. */
const copied = ['bin', 'native/binding.gyp', 'native/src', 'native/test', 'package.json', 'scripts', 'src', 'test'];

interface Sanitizer {
  /** As the compiler names it. */
  option: string;
  unitTarget: string;
  library: string;
  /** Settings of the run-time library, by its environment variable, for Node.js with the addon. */
  settings(reports: string): Record<string, string>;
}

const sanitizers: Record<string, Sanitizer> = {
  address: {
    option: 'address,undefined',
    unitTarget: 'asan',
    library: 'libasan.so',
    settings: (reports) => ({
      // V8 keeps pointers where nothing finds them; leaks are looked for by the unit tests.
      ASAN_OPTIONS: `detect_leaks=0:log_path=${reports}`,
      UBSAN_OPTIONS: `print_stacktrace=1:log_path=${reports}`,
    }),
  },
  thread: {
    option: 'thread',
    unitTarget: 'tsan',
    library: 'libtsan.so',
    settings: (reports) => ({
      // Node.js synchronises its threads by instructions that were not instrumented.
      TSAN_OPTIONS: `ignore_noninstrumented_modules=1:exitcode=0:log_path=${reports}`,
    }),
  },
};

function run(program: string, parameters: string[], options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}): boolean {
  return spawnSync(program, parameters, { stdio: 'inherit', cwd: projectDirectory, ...options }).status === 0;
}

/** Absolute, or undefined if the compiler has no such library. */
function findLibrary(name: string): string | undefined {
  const { stdout } = spawnSync('g++', [`-print-file-name=${name}`], { encoding: 'utf8' });
  const path = stdout?.trim() ?? '';
  return isAbsolute(path) && existsSync(path) ? path : undefined;
}

/** A copy of the project in which only the addon differs; what was built there before is kept. */
function copyProject(directory: string): void {
  for (const path of copied) {
    rmSync(join(directory, path), { recursive: true, force: true });
    cpSync(join(projectDirectory, path), join(directory, path), { recursive: true });
  }
  const packages = join(directory, 'node_modules');
  rmSync(packages, { recursive: true, force: true });
  mkdirSync(packages);
  for (const name of readdirSync(join(projectDirectory, 'node_modules'))) {
    const from = join(projectDirectory, 'node_modules', name);
    // Copied, for make puts what it notes about a target beside the target's real place.
    if (name === 'node-addon-api') cpSync(from, join(packages, name), { recursive: true });
    else symlinkSync(from, join(packages, name));
  }
}

/** Whether all is clean. */
function check(name: string, { option, unitTarget, library, settings }: Sanitizer, libraryPath: string): boolean {
  const say = (what: string) => process.stdout.write(`▶ ${name}: ${what}\n`);
  say('native unit tests');
  const jobs = String(availableParallelism());
  const isUnitClean = run('make', ['-s', '-j', jobs, '-C', 'native/test', unitTarget, `OUT=${join(built, 'unit')}`]);
  say('addon');
  const copy = join(built, name);
  mkdirSync(copy, { recursive: true });
  copyProject(copy);
  if (!run(process.execPath, ['scripts/build-addon.mjs', '--sanitize', option], { cwd: copy })) return false;
  say(`${testWords.join(' ')} with ${library}`);
  const reports = join(copy, 'reports');
  rmSync(reports, { recursive: true, force: true });
  mkdirSync(reports);
  // Daemons of ordinary users report too.
  chmodSync(reports, 0o1777);
  const env = {
    ...process.env,
    LD_PRELOAD: libraryPath,
    NODE_OPTIONS: `--import=${join(copy, 'scripts/preload-for-node.mjs')}`,
    ...settings(join(reports, 'report')),
  };
  const arePassed = run(process.execPath, ['scripts/test.ts', '--built', ...testWords], { cwd: copy, env });
  const found = readdirSync(reports).map((file) => readFileSync(join(reports, file), 'utf8'));
  for (const text of found) process.stdout.write(`${text}\n`);
  process.stdout.write(`${name}: ${found.length} reports, tests ${arePassed ? 'passed' : 'failed'} (${library})\n`);
  return isUnitClean && arePassed && found.length === 0;
}

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(sanitizers);
let isClean = true;
for (const name of names) {
  const sanitizer = sanitizers[name];
  if (sanitizer === undefined) {
    process.stderr.write(`no such sanitizer: ${name}; there are ${Object.keys(sanitizers).join(' and ')}\n`);
    process.exit(exitCodes.usage);
  }
  const libraryPath = findLibrary(sanitizer.library);
  if (libraryPath === undefined || spawnSync('clang++', ['--version']).status !== 0) {
    process.stderr.write(`clang++ or ${sanitizer.library} of g++ is missing\nhint: apt install clang g++\n`);
    process.exit(exitCodes.requirement);
  }
  if (!check(name, sanitizer, libraryPath)) isClean = false;
}
process.stdout.write(isClean ? '✔ everything is clean\n' : '✖ not everything is clean\n');
process.exit(isClean ? 0 : 1);
