/**
 * Fuzzes the request decoder of the addon and the handler behind it, with AddressSanitizer and
 * UndefinedBehaviorSanitizer.
 *
 *   npm run fuzz                   for ten minutes
 *   npm run fuzz -- --seconds 60   for as long as that
 *
 * What was learnt is kept in `native/build/fuzz/corpus`, and the next run goes on from there. An input that breaks
 * something is kept as `native/build/fuzz/found-…`; the built program with its path as the argument runs it alone. Ends with
 * status 0 if nothing was found, 1 if something was, and 10 if this machine lacks clang.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { exitCodes } from '../src/core/exit-codes.ts';

const projectDirectory = fileURLToPath(new URL('..', import.meta.url));
const out = join(projectDirectory, 'native/build/fuzz');

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '600' } } });

function end(status: number, message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(status);
}

if (!/^[1-9]\d*$/.test(values.seconds)) end(2, `--seconds must be a positive integer, not "${values.seconds}"`);
if (spawnSync('clang++', ['--version']).status !== 0) {
  end(exitCodes.requirement, 'Fuzzing needs clang with libFuzzer, which is not installed\nhint: apt install clang');
}
const make = [
  '-s',
  '-C',
  join(projectDirectory, 'native/test'),
  'fuzz',
  `OUT=${out}`,
  `FUZZ_SECONDS=${values.seconds}`,
];
const { status } = spawnSync('make', make, { stdio: 'inherit' });
if (status !== 0) end(1, `✖ something was found; the input that shows it is in ${out}`);
process.stdout.write('✔ nothing was found\n');
