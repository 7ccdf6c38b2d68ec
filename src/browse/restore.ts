/**
 * Restores a snapshot, whole or in part, into a directory.
 *
 * Every file is made complete, content and attributes, in a staging directory within the target and then moved to its
 * name; directories get their attributes when everything in them is there. What is there already is only replaced if
 * the caller says so. Interrupted at any point, the same restore continues. An entry that cannot be restored is named
 * and does not stop the others.
 */
import { createDigester } from '../core/digest.ts';
import type { Domain } from '../core/domain.ts';
import { CovaultError, checkInterrupted, ioError, isCovaultError, systemErrorCode } from '../core/errors.ts';
import type { BlockFetcher, SnapshotReader } from '../core/ports.ts';
import type { SnapshotRecord } from '../core/snapshot.ts';
import { addonProblem } from '../fs/native.ts';
import { entryAt } from './find-snapshot.ts';
import { applyAttributes } from './restore-attributes.ts';
import { EntryRestorer } from './restore-entries.ts';
import { type RestoreProgress, RestoreReport, type RestoreResult } from './restore-report.ts';
import { type ExistingEntries, RestoreTarget } from './restore-target.ts';
import { type Selection, selectionId, selectPaths, walkSelected } from './restore-walk.ts';
import { findEntry, SnapshotObjects } from './snapshot-objects.ts';
import { TargetBlocks } from './target-blocks.ts';

export interface RestoreOptions {
  reader: SnapshotReader;
  snapshot: SnapshotRecord;
  /** Paths within the snapshot; they keep their place below the target. Everything if there are none. */
  paths?: readonly Uint8Array[];
  /** Made if it does not exist; the directory above it must. */
  target: string;
  /** Default `refuse`. */
  existing?: ExistingEntries;
  /** Restore also files whose attributes say that they are right, such as those of an earlier run. Default false. */
  recheck?: boolean;
  /** Directories that must not be restored into: the store. */
  keepOut?: readonly string[];
  /** How the blocks of the snapshot are cut and named: then those that stand in the target already are not fetched. */
  domain?: Pick<Domain, 'cut' | 'digestKey'>;
  /** Asked for blocks before the store is. */
  fetcher?: BlockFetcher;
  signal?: AbortSignal;
  onProgress?: (progress: RestoreProgress) => void;
}

/**
 * Resolves when everything is done and durable; `exceptionCount` of the result says whether all is as in the snapshot.
 *
 * @throws CovaultError `E_INTERRUPTED` (run it again to continue), `E_EXISTS`, `E_BUSY`, `E_BAD_INPUT`, `E_NOT_FOUND`,
 * `E_NO_SPACE`, `E_IO`, `E_REQUIREMENT`.
 */
export async function restoreSnapshot(options: RestoreOptions): Promise<RestoreResult> {
  const problem = addonProblem();
  if (problem !== undefined) throw problem;
  const { reader, snapshot } = options;
  const objects = new SnapshotObjects(reader);
  const selection = selectPaths(options.paths);
  for (const path of options.paths ?? []) await entryAt(objects, snapshot, path);
  const topEntries = await objects.tree(snapshot.root.tree);
  const existing = options.existing ?? 'refuse';
  const target = await RestoreTarget.open(options.target, {
    existing,
    restoreId: `${snapshot.id} ${selectionId(selection)}`,
    keepOut: options.keepOut ?? [],
    isTaken: (name) => findEntry(topEntries, Buffer.from(name)) !== undefined,
  });
  const report = new RestoreReport(options.onProgress);
  try {
    await restoreEntries(target, objects, selection, report, options);
    await target.finish();
    if (topGetsAttributes(target, selection, existing)) applyTopAttributes(target, snapshot, report);
    return report.result;
  } catch (error) {
    throw explained(error, target.path);
  } finally {
    await target.close();
  }
}

async function restoreEntries(
  target: RestoreTarget,
  objects: SnapshotObjects,
  selection: Selection,
  report: RestoreReport,
  { reader, snapshot, existing, recheck, domain, fetcher, signal }: RestoreOptions,
): Promise<void> {
  const entries = await EntryRestorer.open({ reader, objects }, target, report, {
    existing: existing ?? 'refuse',
    isTrusted: target.trustsPresent && recheck !== true,
    signal,
    present: domain && (target.isMerge || target.isContinued) ? presentIn(target, domain, signal) : undefined,
    fetcher,
  });
  try {
    await walkSelected(objects, target.handles.top, snapshot.root, selection, entries);
    await entries.flush();
    checkInterrupted(signal);
  } finally {
    await entries.close();
  }
}

function presentIn(
  { handles, stagingName }: RestoreTarget,
  { cut, digestKey }: Pick<Domain, 'cut' | 'digestKey'>,
  signal: AbortSignal | undefined,
): TargetBlocks {
  return new TargetBlocks({ handles, stagingName, cut, digester: createDigester(digestKey), signal });
}

function topGetsAttributes(target: RestoreTarget, selection: Selection, existing: ExistingEntries): boolean {
  return selection === 'everything' && (!target.isMerge || existing === 'replace');
}

function applyTopAttributes(target: RestoreTarget, snapshot: SnapshotRecord, report: RestoreReport): void {
  const { problems, isForeign } = applyAttributes(target.topFd, snapshot.root);
  if (isForeign) report.result.foreignOwners += 1;
  for (const problem of problems) report.exception(target.handles.top, problem);
}

function explained(error: unknown, path: string): unknown {
  if (!isCovaultError(error, 'E_INTERRUPTED')) {
    return systemErrorCode(error) === undefined ? error : ioError(error, `restore into ${path}`);
  }
  return new CovaultError('E_INTERRUPTED', `the restore into ${path} was stopped before its end`, {
    cause: error,
    hint: 'run the same command again to continue',
  });
}
