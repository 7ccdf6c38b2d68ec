/**
 * What the parts of the index share: the tables, and what is held in memory beside them. Only the index's loop writes,
 * through `write`; a failed write leaves memory and tables apart, therefore the index then stops for good.
 */
import type { Clock } from '../core/clock.ts';
import type { Digester } from '../core/digest.ts';
import type { CutParameters } from '../core/domain.ts';
import type { Epoch } from '../fs/epoch.ts';
import { DirtyFiles } from './dirty.ts';
import { FeedCollector } from './feed-collector.ts';
import { inodeOfKey } from './layout.ts';
import { metaKeys, readBig, readCount, readMeta, writeCount } from './meta.ts';
import { Misses } from './misses.ts';
import { PathCache } from './path-cache.ts';
import type { Extent } from './ranges.ts';
import type { Tables } from './tables.ts';

/** A file that a worker is reading. */
export interface Flight {
  /** Wall-clock time before it was told. */
  readAtNs: bigint;
  /** It reads the whole file, not only what is known to have changed. */
  isWhole: boolean;
  /** What was reported as written since the worker was told. */
  later: Extent | undefined;
  /** Its attributes were looked at since; the worker's may be older. */
  isLooked: boolean;
  /** The inode is not the same any more; what the worker says of it is void. */
  isVoid: boolean;
}

/** Counters since the start; see `IndexStatus`. */
export interface Counters {
  bytesHashed: number;
  filesHashed: number;
  mutations: number;
  looks: number;
  /** Files that a listing found changed without a mutation that told. */
  filesFoundChanged: number;
}

/** Sums over all inode rows. */
export interface Totals {
  /** Regular files, each inode once. */
  files: number;
  /** Bytes of these, as last seen. */
  bytes: number;
}

export interface StateOptions {
  tables: Tables;
  digester: Digester;
  cut: CutParameters;
  clock: Clock;
  /** The data directory's inode. */
  root: bigint;
}

export class IndexState {
  readonly tables: Tables;
  readonly digester: Digester;
  readonly cut: CutParameters;
  readonly clock: Clock;
  readonly root: bigint;
  /** Mirror of the table `stale`. */
  readonly stale = new Set<bigint>();
  /** Inodes that lost a name and may have none left. */
  readonly orphans = new Set<bigint>();
  /** Inodes that lost one of several names: their other names now show another number of links. */
  readonly unlinked = new Set<bigint>();
  /** Directories that must be listed; true: with all below them. */
  readonly unlisted = new Map<bigint, boolean>();
  /** Anything may have changed in directories that are still to be listed, or below strays. */
  isDoubtful = false;
  /**
   * Inodes that got or lost a name while that was so, or had none: what goes from where was not listed yet to where was
   * already is not met by the listing. When one is seen, it is taken as listed; a directory is listed, with all below it.
   */
  readonly strays = new Set<bigint>();
  readonly flights = new Map<bigint, Flight>();
  /** Files that are level though their stamp does not say so, with the look that found it; see `stamps.ts`. */
  readonly drifted = new Map<bigint, number>();
  /** Files that went on changing while they were read, however often. */
  readonly unsettled = new Set<bigint>();
  /** Since then nothing was said to have changed without being told what; contents read later are not doubted. */
  doubtSinceNs = 0n;
  /** Counts looks at attributes and readings of contents, to tell which came before a barrier. */
  lookSerial = 0;
  /** See `metaKeys.levelAt`. */
  levelAtNs: bigint;
  /** See `metaKeys.lostSince`. */
  lostSinceNs: bigint | undefined;
  /** Files and directories that could not be read, with the system's code. */
  readonly unreadable = new Map<bigint, string>();
  /** Mount points of other file systems. */
  readonly foreign = new Set<bigint>();
  readonly paths = new PathCache();
  /**
   * While a cut is on its way through the queue: the directory is looked at as it was at the cut, so that nothing of what
   * came afterwards gets into the tables before its mutation.
   */
  epoch: Epoch | undefined;
  readonly dirty: DirtyFiles;
  readonly feed: FeedCollector;
  readonly totals: Totals;
  readonly misses: Misses;
  readonly counters: Counters = {
    bytesHashed: 0,
    filesHashed: 0,
    mutations: 0,
    looks: 0,
    filesFoundChanged: 0,
  };

  constructor(options: StateOptions) {
    this.tables = options.tables;
    this.digester = options.digester;
    this.cut = options.cut;
    this.clock = options.clock;
    this.root = options.root;
    this.dirty = new DirtyFiles(options.tables, options.clock, options.cut.minBytes);
    this.feed = new FeedCollector(options.tables);
    this.totals = {
      files: readCount(options.tables, metaKeys.files),
      bytes: readCount(options.tables, metaKeys.bytes),
    };
    this.misses = new Misses(this);
    this.levelAtNs = readBig(options.tables, metaKeys.levelAt);
    const hasLost = readMeta(options.tables, metaKeys.lostSince) !== undefined;
    this.lostSinceNs = hasLost ? readBig(options.tables, metaKeys.lostSince) : undefined;
    for (const key of this.tables.stale.keys({})) this.stale.add(inodeOfKey(key));
  }

  /** One transaction, with its part of the feed. `work` must not wait and should take a few milliseconds at most. */
  async write<T>(work: () => T): Promise<T> {
    const { files, bytes } = this.totals;
    this.paths.beginWrite();
    try {
      const result = await this.tables.transaction(() => {
        const value = work();
        if (this.totals.files !== files) writeCount(this.tables, metaKeys.files, this.totals.files);
        if (this.totals.bytes !== bytes) writeCount(this.tables, metaKeys.bytes, this.totals.bytes);
        this.feed.seal();
        return value;
      });
      this.feed.committed();
      return result;
    } finally {
      this.paths.endWrite();
    }
  }

  /** Wall-clock time in nanoseconds since 1970, as precise as the clock is. */
  nowNs(): bigint {
    return BigInt(Math.floor(this.clock.nowMs())) * 1_000_000n;
  }
}
