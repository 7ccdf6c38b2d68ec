/** Checks an index, or fills one that was made anew, with progress; what `covault check --index` has done by the daemon. */
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../core/clock.ts';
import { checkInterrupted } from '../core/errors.ts';
import type { CheckOptions, CheckReport } from '../index/check.ts';
import type { IndexStatus } from '../index/index-status.ts';
import type { LongOptions } from './control.ts';

/** What is asked of an index: one that a daemon keeps, or one opened for this alone. */
export interface CheckedIndex {
  check(options: CheckOptions): Promise<CheckReport>;
  level(options: { signal?: AbortSignal }): Promise<void>;
  status(): IndexStatus;
}

/** Milliseconds between two looks at how far it is. */
const pollMs = 200;

export async function checkIndex(index: CheckedIndex, { signal, onProgress }: LongOptions): Promise<Fields> {
  const started = systemClock.monotonicMs();
  await levelWithProgress(index, { signal, onProgress });
  const report = await index.check({
    signal,
    onProgress: ({ bytes, bytesTotal, files, directories, bytesHashed }) => {
      const total = Math.max(bytes, bytesTotal);
      const fields = { files, directories, bytesHashed };
      onProgress({ phase: 'check index', done: bytes, total, unit: 'bytes', fields });
    },
  });
  const { bytesTotal: _, differences, ...figures } = report;
  const { missesOpen, misses: missesEver } = index.status();
  return {
    ...figures,
    differences: differences.map(({ path, what }) => ({ path: Buffer.from(path).toString(), what })),
    missesEver,
    missesOpen,
    seconds: (systemClock.monotonicMs() - started) / 1000,
  };
}

/** Throws the index away and waits until the new one has everything. */
export async function rebuildIndex(
  index: CheckedIndex & { rebuild(reason: string): Promise<void> },
  options: LongOptions,
): Promise<Fields> {
  await index.rebuild('somebody asked for it');
  return await filled(index, options);
}

/** Waits until the index has everything, and says what that is. */
export async function filled(index: CheckedIndex, options: LongOptions): Promise<Fields> {
  const started = systemClock.monotonicMs();
  await levelWithProgress(index, options);
  const { files, bytes, directories, bytesHashed, unreadable } = index.status();
  const seconds = (systemClock.monotonicMs() - started) / 1000;
  return { files, bytes, directories, bytesHashed, unreadable, seconds };
}

type Fields = Record<string, unknown>;

async function levelWithProgress(index: CheckedIndex, { signal, onProgress }: LongOptions): Promise<void> {
  let isLevel = false;
  const leveling = index.level({ signal }).finally(() => {
    isLevel = true;
  });
  // Awaited below; until then a failure is nobody's.
  leveling.catch(() => undefined);
  while (!isLevel) {
    checkInterrupted(signal);
    const { files, filesDirty, filesBeingHashed, bytesHashed, lastScan } = index.status();
    const done = files - filesDirty - filesBeingHashed;
    // While it scans nobody knows how many there are.
    const total = lastScan === undefined ? {} : { total: files };
    onProgress({ phase: 'index', done: Math.max(0, done), ...total, unit: 'files', fields: { bytesHashed } });
    await Promise.race([leveling.catch(() => undefined), sleep(pollMs)]);
  }
  await leveling;
}
