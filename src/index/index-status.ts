/** What the index has and does, as numbers for `status`. */
import type { Cuts } from './cuts.ts';
import type { MutationQueue } from './mutation-queue.ts';
import { pathOf } from './names.ts';
import type { FoundIndex } from './open-tables.ts';
import type { RollingStatus } from './rolling-check.ts';
import type { Scanner } from './scanner.ts';
import type { ScanReport } from './scans.ts';
import type { IndexState } from './state.ts';

export interface IndexStatus {
  found: FoundIndex;
  /** Whether nothing waits to be applied, listed or hashed. */
  isLevel: boolean;
  /** Regular files, each inode once, and their bytes as last seen. */
  files: number;
  bytes: number;
  directories: number;
  /** Places where blocks are; a block may be in several. */
  blockPlaces: number;
  recipes: number;
  /** Since the index was opened. */
  bytesHashed: number;
  filesHashed: number;
  mutations: number;
  looks: number;
  /** Waiting: mutations, names to be looked at again, directories to be listed, files to be hashed and being hashed. */
  mutationsWaiting: number;
  namesWaiting: number;
  directoriesWaiting: number;
  filesDirty: number;
  filesBeingHashed: number;
  /** Directories whose tree is behind. */
  treesStale: number;
  /** Files and directories that cannot be read, files that do not settle, other file systems mounted within. */
  unreadable: number;
  unsettled: number;
  foreign: number;
  /**
   * Files and directories that were not as the index had them, with no mutation that told: must be 0. `misses` since the
   * index was made, `missesOpen` since the last full check that found none.
   */
  misses: number;
  missesOpen: number;
  /** The first of what cannot be read: paths, and the system's code. */
  unreadablePaths: { path: string; code: string }[];
  rolling: RollingStatus;
  openCuts: number;
  feedSequence: number;
  feedDigests: number;
  lastScan: ScanReport | undefined;
  /** What was found when it was opened, if there is something to say. */
  notice: string | undefined;
  /** Why the index has stopped, or undefined. */
  failure: string | undefined;
}

export function statusOf(parts: {
  state: IndexState;
  queue: MutationQueue;
  scanner: Scanner;
  cuts: Cuts;
  found: FoundIndex;
  lastScan: ScanReport | undefined;
  deferred: number;
  lastSequence: number;
  failure: unknown;
  notice: string | undefined;
  rolling: RollingStatus;
}): IndexStatus {
  const { state, queue, scanner } = parts;
  const { tables, counters } = state;
  const waiting = queue.length + parts.deferred + scanner.waiting + state.dirty.count + state.flights.size;
  return {
    found: parts.found,
    isLevel: waiting === 0 && parts.lastScan !== undefined && parts.failure === undefined,
    files: state.totals.files,
    bytes: state.totals.bytes,
    directories: tables.directories.count(),
    blockPlaces: tables.blocks.count(),
    recipes: tables.recipes.count(),
    bytesHashed: counters.bytesHashed,
    filesHashed: counters.filesHashed,
    mutations: counters.mutations,
    looks: counters.looks,
    mutationsWaiting: queue.length,
    namesWaiting: parts.deferred,
    directoriesWaiting: scanner.waiting,
    filesDirty: state.dirty.count,
    filesBeingHashed: state.flights.size,
    treesStale: state.stale.size,
    unreadable: state.unreadable.size,
    unsettled: state.unsettled.size,
    foreign: state.foreign.size,
    misses: state.misses.ever,
    missesOpen: state.misses.open,
    unreadablePaths: unreadablePaths(state),
    rolling: parts.rolling,
    openCuts: parts.cuts.count,
    feedSequence: parts.lastSequence,
    feedDigests: state.feed.digestCount,
    lastScan: parts.lastScan,
    notice: parts.notice,
    failure: parts.failure === undefined ? undefined : String(parts.failure),
  };
}

/** Named in `status`; all are counted. */
const unreadableShown = 20;

function unreadablePaths(state: IndexState): { path: string; code: string }[] {
  return [...state.unreadable].slice(0, unreadableShown).map(([inode, code]) => {
    return { path: pathOf(state, inode)?.toString() ?? `inode ${inode}`, code };
  });
}
