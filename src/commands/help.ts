/** The part of `--help` that commander does not write: examples and exit statuses. */
import { exitCodes } from '../core/exit-codes.ts';
import type { Command } from './command.ts';
import { formatTable } from './sizes.ts';

const meanings: Record<number, string> = {
  [exitCodes.ok]: 'done',
  [exitCodes.failure]: 'an unexpected failure',
  [exitCodes.usage]: 'the command line or its input is wrong',
  [exitCodes.incomplete]: 'done, with exceptions, which are named',
  [exitCodes.notFound]: 'a named thing does not exist',
  [exitCodes.denied]: 'wrong password, wrong certificate, or a role that may not do this',
  [exitCodes.unavailable]: 'the repository, a client or a holder cannot be reached, or is busy',
  [exitCodes.corrupt]: 'bytes on disk or from a peer are damaged or of another version',
  [exitCodes.io]: 'out of space, or the operating system refused',
  [exitCodes.mount]: 'mounting or unmounting failed, or the place is in use',
  [exitCodes.requirement]: 'something needed is missing on this machine',
  [exitCodes.interrupted]: 'stopped by SIGINT or SIGTERM',
};

const always = [exitCodes.ok, exitCodes.failure, exitCodes.usage, exitCodes.interrupted];

export function helpAfter(command: Command): string {
  const codes = [...new Set([...always, ...command.exitCodes])].sort((a, b) => a - b);
  const statuses = formatTable(codes.map((code) => [`  ${code}`, meanings[code] ?? '']));
  const examples = command.examples.flatMap(([line, does]) => [`  $ ${line}`, `      ${does}`]);
  return ['', 'Examples:', ...examples, '', 'Exit status:', ...statuses].join('\n');
}
