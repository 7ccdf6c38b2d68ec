/** Restores one entry after the other: decides what to do about what is there, makes, moves, links and finishes. */
import { lstat, readlink } from 'node:fs/promises';
import { checkInterrupted, systemErrorCode } from '../core/errors.ts';
import type { BlockFetcher, SnapshotReader } from '../core/ports.ts';
import { isBlock } from '../core/recipe.ts';
import type { DirectoryEntry, FileEntry, TreeEntry } from '../core/tree.ts';
import { entryPath, type Place, pathOf } from './directory-handles.ts';
import { shownPath } from './find-snapshot.ts';
import { type LinkKey, linkKeyOf } from './link-counts.ts';
import type { LocatedRecipe } from './recipe-ranges.ts';
import { type AppliedAttributes, applyAttributes } from './restore-attributes.ts';
import { ContentWriter } from './restore-content.ts';
import { RestoreDirectories } from './restore-directories.ts';
import { MadeLog } from './restore-made-log.ts';
import { linkInto, makeOther, moveInto, removeStaged } from './restore-placing.ts';
import { type Decision, decide, type Present } from './restore-present.ts';
import { type RestoreReport, reasonOf } from './restore-report.ts';
import type { ExistingEntries, RestoreTarget } from './restore-target.ts';
import type { Visitor } from './restore-walk.ts';
import type { SnapshotObjects } from './snapshot-objects.ts';
import type { TargetBlocks } from './target-blocks.ts';

export interface EntryRestorerOptions {
  existing: ExistingEntries;
  /** What looks right is right. */
  isTrusted: boolean;
  signal: AbortSignal | undefined;
  /** Blocks that stand in the target already; undefined if it was empty. Closed with the restorer. */
  present: TargetBlocks | undefined;
  fetcher: BlockFetcher | undefined;
}

/** The name of a linked file that was met first; further names are linked to it. */
interface LinkOrigin {
  place: Place;
  state: 'pending' | 'done' | 'failed';
}

interface PendingLink {
  place: Place;
  entry: TreeEntry;
  origin: LinkOrigin;
}

type OtherEntry = Exclude<TreeEntry, { kind: 'file' | 'directory' }>;

/** Directories and links that may wait for files before them; bounds the memory they take. */
const pendingMax = 5000;

const isRoot = process.geteuid?.() === 0;

export class EntryRestorer implements Visitor<Place> {
  readonly #objects: SnapshotObjects;
  readonly #target: RestoreTarget;
  readonly #report: RestoreReport;
  readonly #options: EntryRestorerOptions;
  readonly #content: ContentWriter;
  readonly #directories: RestoreDirectories;
  readonly #madeLog: MadeLog | undefined;
  readonly #links = new Map<LinkKey, LinkOrigin>();
  #pendingLinks: PendingLink[] = [];
  #pendingLeaves: { directory: Place; entry: DirectoryEntry }[] = [];

  private constructor(
    sources: { reader: SnapshotReader; objects: SnapshotObjects },
    target: RestoreTarget,
    report: RestoreReport,
    options: EntryRestorerOptions & { madeLog: MadeLog | undefined },
  ) {
    const { signal, existing, madeLog, present, fetcher } = options;
    this.#objects = sources.objects;
    this.#target = target;
    this.#report = report;
    this.#options = options;
    this.#madeLog = madeLog;
    this.#content = new ContentWriter(sources.reader, {
      signal,
      present,
      fetcher,
      onWritten: (bytes) => report.wrote(bytes),
      onBlock: (from, bytes) => report.had(from, bytes),
    });
    this.#directories = new RestoreDirectories(target.handles, existing, madeLog);
    if (!target.isMerge && !target.isContinued) this.#directories.topIsFresh();
  }

  static async open(
    sources: { reader: SnapshotReader; objects: SnapshotObjects },
    target: RestoreTarget,
    report: RestoreReport,
    options: EntryRestorerOptions,
  ): Promise<EntryRestorer> {
    const madeLog = options.existing === 'keep' ? await MadeLog.open(target.madeLogPath) : undefined;
    return new EntryRestorer(sources, target, report, { ...options, madeLog });
  }

  async enter(parent: Place, entry: DirectoryEntry): Promise<Place | undefined> {
    const place = { parent, name: entry.name };
    try {
      await this.#directories.make(place);
      return place;
    } catch (error) {
      this.#report.exception(place, `the directory and all in it are left out: ${reasonOf(error)}`);
      return undefined;
    }
  }

  async visit(parent: Place, entry: TreeEntry): Promise<void> {
    checkInterrupted(this.#options.signal);
    const place = { parent, name: entry.name };
    const key = linkKeyOf(entry);
    const origin = key === undefined ? undefined : this.#links.get(key);
    if (origin !== undefined) {
      this.#pendingLinks.push({ place, entry, origin });
      return;
    }
    const own: LinkOrigin = { place, state: 'pending' };
    if (key !== undefined) this.#links.set(key, own);
    try {
      await this.#restore(place, entry, own);
    } catch (error) {
      this.#failed(place, own, reasonOf(error));
    }
  }

  async leave(directory: Place, entry: DirectoryEntry): Promise<void> {
    this.#pendingLeaves.push({ directory, entry });
    if (this.#pendingLeaves.length + this.#pendingLinks.length >= pendingMax) await this.flush();
  }

  async unreadable(directory: Place, error: unknown): Promise<void> {
    this.#report.exception(directory, `what is in it cannot be read: ${reasonOf(error)}`);
  }

  /** Finishes everything visited so far: contents, then links, then directories. */
  async flush(): Promise<void> {
    await this.#content.flush();
    for (const link of this.#pendingLinks.splice(0)) await this.#link(link);
    for (const { directory, entry } of this.#pendingLeaves.splice(0)) await this.#finishDirectory(directory, entry);
  }

  /** Closes what is open. */
  async close(): Promise<void> {
    this.#content.close();
    this.#options.present?.close();
    await this.#madeLog?.close();
  }

  async #restore(place: Place, entry: TreeEntry, own: LinkOrigin): Promise<void> {
    const decision = await this.#decide(place, entry);
    if (decision.do === 'leave') this.#failed(place, own, decision.reason);
    else if (decision.do === 'nothing') this.#foundRight(entry, own);
    else if (entry.kind === 'file') await this.#queueFile(place, entry, own, decision);
    else if (entry.kind !== 'directory') await this.#restoreOther(place, entry, own, decision);
  }

  async #decide(place: Place, entry: TreeEntry): Promise<Decision> {
    const { existing, isTrusted } = this.#options;
    return decide(entry, await this.#present(place), existing, { isTrusted, checksOwner: isRoot });
  }

  /** What stands at a place now. */
  async #present({ parent, name }: Place): Promise<Present> {
    if (parent === undefined || this.#directories.isFresh(parent)) return { stats: undefined };
    return this.#target.handles.use(parent, async (fd) => {
      const path = entryPath(fd, name);
      try {
        const stats = await lstat(path, { bigint: true });
        return stats.isSymbolicLink() ? { stats, target: await readlink(path, 'buffer') } : { stats };
      } catch (error) {
        if (systemErrorCode(error) === 'ENOENT') return { stats: undefined };
        throw error;
      }
    });
  }

  async #queueFile(place: Place, entry: FileEntry, own: LinkOrigin, decision: Decision): Promise<void> {
    const recipe = await this.#objects.recipe(entry);
    await this.#lookAround(place, entry.size);
    const path = this.#target.stagingPath();
    await this.#content.add({
      recipe,
      path,
      written: async (fd) => {
        try {
          const applied = applyAttributes(fd, entry);
          await this.#move(path, place, decision);
          this.#made(place, own, applied, { isFile: true, sizeLeft: holeBytes(recipe) });
        } catch (error) {
          removeStaged(path);
          this.#failed(place, own, reasonOf(error));
        }
      },
      failed: (reason) => {
        removeStaged(path);
        this.#failed(place, own, reason);
      },
    });
  }

  /** Finds what of the content may stand in the target already. */
  async #lookAround({ parent, name }: Place, size: number): Promise<void> {
    const directory = parent ?? this.#target.handles.top;
    if (size === 0 || this.#directories.isFresh(directory)) return;
    await this.#options.present?.lookAround(directory, name, size);
  }

  async #restoreOther(place: Place, entry: OtherEntry, own: LinkOrigin, decision: Decision): Promise<void> {
    if ((entry.kind === 'char' || entry.kind === 'block') && !isRoot) {
      this.#failed(place, own, 'only root may make device nodes');
      return;
    }
    const path = this.#target.stagingPath();
    try {
      makeOther(path, entry);
      const applied = applyAttributes(path, entry);
      await this.#move(path, place, decision);
      this.#made(place, own, applied, { isFile: false, sizeLeft: 0 });
    } finally {
      removeStaged(path);
    }
  }

  async #move(from: Buffer, { parent, name }: Place, decision: Decision): Promise<void> {
    const directory = parent ?? this.#target.handles.top;
    const mayReplace = decision.do === 'replace' || this.#directories.isFresh(directory);
    await this.#target.handles.use(directory, (fd) => moveInto(from, entryPath(fd, name), mayReplace));
  }

  async #link({ place, entry, origin }: PendingLink): Promise<void> {
    checkInterrupted(this.#options.signal);
    const shown = shownPath(pathOf(origin.place));
    if (origin.state !== 'done') {
      this.#report.exception(place, `it is a further name of ${shown}, which could not be restored`);
      return;
    }
    try {
      await this.#linkTo(origin.place, place, entry);
    } catch (error) {
      this.#report.exception(place, `it cannot be linked to ${shown}: ${reasonOf(error)}`);
    }
  }

  async #linkTo(origin: Place, place: Place, entry: TreeEntry): Promise<void> {
    const { handles } = this.#target;
    const present = (await this.#present(place)).stats;
    await handles.use(origin.parent ?? handles.top, (originFd) =>
      handles.use(place.parent ?? handles.top, async (fd) => {
        const from = entryPath(originFd, origin.name);
        if (present !== undefined) {
          const { dev, ino } = await lstat(from, { bigint: true });
          if (present.dev === dev && present.ino === ino) {
            this.#foundRight(entry, undefined);
            return;
          }
        }
        const mayReplace = present !== undefined && this.#options.existing !== 'keep';
        linkInto(from, entryPath(fd, place.name), { mayReplace, through: this.#target.stagingPath() });
        this.#report.done({ isFile: entry.kind === 'file', wasThere: false, sizeLeft: sizeOf(entry) });
      }),
    );
  }

  async #finishDirectory(directory: Place, entry: DirectoryEntry): Promise<void> {
    try {
      const applied = await this.#directories.finish(directory, entry);
      this.#made(directory, undefined, applied, { isFile: false, sizeLeft: 0 });
    } catch (error) {
      this.#report.exception(directory, reasonOf(error));
    }
  }

  #foundRight(entry: TreeEntry, own: LinkOrigin | undefined): void {
    if (own !== undefined) own.state = 'done';
    this.#report.done({ isFile: entry.kind === 'file', wasThere: true, sizeLeft: sizeOf(entry) });
  }

  #made(
    place: Place,
    own: LinkOrigin | undefined,
    { problems, isForeign }: AppliedAttributes,
    done: { isFile: boolean; sizeLeft: number },
  ): void {
    if (own !== undefined) own.state = 'done';
    if (isForeign) this.#report.result.foreignOwners += 1;
    for (const problem of problems) this.#report.exception(place, problem);
    if (problems.length === 0) this.#report.done({ ...done, wasThere: false });
  }

  #failed(place: Place, own: LinkOrigin, reason: string): void {
    own.state = 'failed';
    this.#report.exception(place, reason);
  }
}

function sizeOf(entry: TreeEntry): number {
  return entry.kind === 'file' ? entry.size : 0;
}

function holeBytes(recipe: LocatedRecipe): number {
  return recipe.segments.reduce((sum, segment) => sum + (isBlock(segment) ? 0 : segment.length), 0);
}
