/** `covault check --index` and `--rebuild-index`: by the daemon that keeps the index, or, if none runs, here. */
import { closeSync, openSync } from 'node:fs';
import { resolve } from 'node:path';
import { CovaultError, isCovaultError } from '../core/errors.ts';
import { exitCodes } from '../core/exit-codes.ts';
import { asCount, asList, asRecord, asText } from '../core/shape.ts';
import { openIndex } from '../index/live-index.ts';
import { type Call, type Outcome, stateDirectoryOf, textOption } from './command.ts';
import { askDaemon, type LongOptions } from './control.ts';
import { checkIndex, filled } from './index-care.ts';
import { loadMembership } from './membership.ts';
import { formatBytes, formatCount } from './sizes.ts';
import { lockStateDirectory } from './state-directory.ts';

type Fields = Record<string, unknown>;

/** Differences named for people; JSON has all that the report has. */
const differencesShown = 20;

/** @throws CovaultError `E_NOT_FOUND` if no daemon runs and no data directory is named, `E_BUSY`. */
export async function runIndexCheck(call: Call, { rebuild }: { rebuild: boolean }): Promise<Outcome> {
  const options: LongOptions = { signal: call.signal, onProgress: (report) => call.progress.report(report) };
  const fields = (await byDaemon(call, rebuild, options)) ?? (await here(call, rebuild, options));
  return rebuild ? describeRebuilt(fields) : describeChecked(fields);
}

/** Undefined if no daemon runs and the data directory is named. */
async function byDaemon(call: Call, rebuild: boolean, options: LongOptions): Promise<Fields | undefined> {
  try {
    return await askDaemon(stateDirectoryOf(call), rebuild ? 'rebuild-index' : 'check-index', options);
  } catch (error) {
    if (!isCovaultError(error, 'E_NOT_FOUND')) throw error;
    if (textOption(call, 'data') !== undefined) return undefined;
    throw new CovaultError('E_NOT_FOUND', error.message, {
      hint: 'mount it, or name its data directory with --data, which must not change meanwhile',
    });
  }
}

/** Nobody else uses the index meanwhile; what changed since it was closed is taken in first and is no miss. */
async function here(call: Call, rebuild: boolean, options: LongOptions): Promise<Fields> {
  const stateDirectory = stateDirectoryOf(call);
  await using stack = new AsyncDisposableStack();
  const membership = await loadMembership(stateDirectory);
  if (!membership) throw new CovaultError('E_NOT_FOUND', `${stateDirectory} is no state directory of a member`);
  const locked = await lockStateDirectory(stateDirectory);
  stack.defer(() => locked.release());
  const directoryFd = openSync(resolve(textOption(call, 'data') ?? ''), 'r');
  stack.defer(() => closeSync(directoryFd));
  const index = await openIndex({
    stateDirectory,
    directoryFd,
    domain: membership.domain,
    clock: call.clock,
    onMiss: (path, what) =>
      call.log.error({ path: Buffer.from(path).toString(), what }, 'the index had missed a change'),
    ...(rebuild ? { discard: { reason: 'somebody asked for it', keep: false } } : {}),
  });
  stack.defer(() => index.close());
  if (index.notice !== undefined) call.log.warn({}, index.notice);
  return rebuild ? await filled(index, options) : await checkIndex(index, options);
}

function describeChecked(fields: Fields): Outcome {
  const count = (name: string) => asCount(fields[name], name);
  const differences = asList(fields.differences, 'differences').map((each) => {
    const { path, what } = asRecord(each, 'difference');
    return `${asText(what, 'what')}: ${asText(path, 'path') || 'the data directory itself'}`;
  });
  const misses = count('misses');
  const unreadable = count('unreadable');
  const compared = `${formatCount(count('files'))} files, ${formatBytes(count('bytes'))}, ${formatCount(count('directories'))} directories compared`;
  return {
    result: { type: 'index-check', ...fields, ok: misses + unreadable === 0 },
    lines: [
      ...differences.slice(0, differencesShown),
      ...(misses > differencesShown ? [`and ${formatCount(misses - differencesShown)} more`] : []),
      ...(unreadable > 0 ? [`${formatCount(unreadable)} files and directories cannot be read`] : []),
      misses === 0 ? `nothing was missed: ${compared}` : `MISSED ${formatCount(misses)} CHANGES, mended: ${compared}`,
    ],
    exitCode: misses + unreadable === 0 ? exitCodes.ok : exitCodes.incomplete,
  };
}

function describeRebuilt(fields: Fields): Outcome {
  const count = (name: string) => asCount(fields[name], name);
  const unreadable = count('unreadable');
  return {
    result: { type: 'index-rebuilt', ...fields, ok: unreadable === 0 },
    lines: [
      `the index is made anew: ${formatCount(count('files'))} files, ${formatBytes(count('bytes'))}`,
      ...(unreadable > 0 ? [`${formatCount(unreadable)} files and directories cannot be read`] : []),
    ],
    exitCode: unreadable === 0 ? exitCodes.ok : exitCodes.incomplete,
  };
}
