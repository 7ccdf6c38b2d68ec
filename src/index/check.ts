/**
 * Compares the index with the data directory: names and attributes by listing, contents by hashing everything again,
 * trees by encoding them again. What differs is looked at a second time after the index got level, since files go on
 * changing; what differs still is a miss: a change of which no mutation told. Misses are counted, reported, and mended.
 */
import { checkInterrupted } from '../core/errors.ts';
import { compareContents, isAsKnown, isTreeRight } from './compare.ts';
import { rowOf } from './holdings.ts';
import type { IndexLoop } from './index-loop.ts';
import type { Place } from './layout.ts';
import { mendContent, mendTree } from './mend.ts';
import { inodeAt, namesIn, pathOf, placeOf } from './names.ts';
import { listLater } from './replay.ts';
import type { IndexState } from './state.ts';
import type { WorkerPool } from './worker-pool.ts';

export interface CheckTools {
  state: IndexState;
  loop: IndexLoop;
  hashers: WorkerPool;
  lookers: WorkerPool;
  level(signal?: AbortSignal): Promise<void>;
  onMiss: ((path: Uint8Array, what: string) => void) | undefined;
}

export interface CheckProgress {
  directories: number;
  files: number;
  /** Bytes of the files that were compared, and of these the bytes that were read: not those of holes. */
  bytes: number;
  bytesHashed: number;
  /** Bytes of all files. */
  bytesTotal: number;
}

export interface CheckOptions {
  signal?: AbortSignal;
  onProgress?: (progress: CheckProgress) => void;
  /** False: names and attributes only. */
  full?: boolean;
}

export interface Difference {
  /** Relative to the data directory; empty for itself. */
  path: Uint8Array;
  what:
    | 'missing in the index'
    | 'gone from the directory'
    | 'other attributes'
    | 'other content'
    | 'blocks not where the index has them'
    | 'other tree';
}

export interface CheckReport extends CheckProgress {
  /** Changes that the index had missed; it has been put right since. */
  misses: number;
  /** The first thousand of them. */
  differences: Difference[];
  /** Files and directories that could not be read, so that nothing is known of them. */
  unreadable: number;
}

/** What a first look found to be different: a name, or a directory's tree. */
export type Doubt = { place: Place } | { tree: bigint };

const differencesMax = 1000;
const entriesPerPage = 1024;
/** Files and bytes given to a worker at once: one request at a time, so that what changes meanwhile is hashed between. */
const filesPerRequest = 64;
const bytesPerRequest = 4 * 1024 * 1024;
/** Doubts kept for the second look; beyond, the rest is found by the next check. */
const doubtsMax = 100_000;
/** Looks at what goes on changing, before it is left to the next check. */
const roundsMax = 6;

/** @throws CovaultError `E_INTERRUPTED`. */
export async function checkIndex(tools: CheckTools, options: CheckOptions): Promise<CheckReport> {
  const { signal, full = true } = options;
  await tools.level(signal);
  const walk = new Walk(tools, options);
  await walk.run(full);
  const report: CheckReport = { ...walk.progress, misses: 0, differences: [], unreadable: walk.unreadable };
  if (walk.doubts.length > 0) {
    await tools.level(signal);
    const differences = await confirmed(tools, walk.doubts, signal);
    report.misses = differences.length;
    report.differences = differences.slice(0, differencesMax);
    // Mended when this returns.
    await tools.level(signal);
  }
  await tools.loop.run(() => tools.state.misses.noteCheck(report.misses));
  return report;
}

/**
 * Of these doubts, those that are so although the index is level; counted, reported, and mended at the next level. The
 * caller has got the index level since they came up.
 *
 * What differs has changed just now, or was missed. If it is the same before and after the index got level once more,
 * every change that led to it has been told, or never will be.
 */
export async function confirmed(
  tools: CheckTools,
  doubts: readonly Doubt[],
  signal?: AbortSignal,
): Promise<Difference[]> {
  let open = await differing(tools, doubts, signal);
  const missed: Suspect[] = [];
  for (let round = 0; open.length > 0 && round < roundsMax; round++) {
    await tools.level(signal);
    const before = new Map(open.map(({ doubt, seen }) => [doubt, seen]));
    const again = await differing(tools, [...before.keys()], signal);
    missed.push(...again.filter(({ doubt, seen }) => before.get(doubt) === seen));
    open = again.filter(({ doubt, seen }) => before.get(doubt) !== seen);
  }
  const differences = missed.map(({ doubt, what }) => ({ path: pathOfDoubt(tools.state, doubt), what }));
  // Only now, because putting one right lists its whole directory.
  for (const [number, { doubt, what }] of missed.entries()) {
    tools.onMiss?.((differences[number] as Difference).path, what);
    await tools.loop.run(async () => {
      await tools.state.misses.note(1);
      await mend(tools.state, doubt, what);
    });
  }
  return differences;
}

/** Something that is not as the index has it, and in which state it was seen. */
interface Suspect {
  doubt: Doubt;
  what: Difference['what'];
  seen: string;
}

async function differing(tools: CheckTools, doubts: readonly Doubt[], signal?: AbortSignal): Promise<Suspect[]> {
  const suspects: Suspect[] = [];
  for (const doubt of doubts) {
    checkInterrupted(signal);
    const found =
      'tree' in doubt
        ? await tools.loop.run(async () => treeDifference(tools.state, doubt.tree))
        : await differenceAt(tools, doubt.place);
    if (found) suspects.push({ doubt, ...found });
  }
  return suspects;
}

type Found = Pick<Suspect, 'what' | 'seen'> | undefined;

function treeDifference(state: IndexState, directory: bigint): Found {
  return rowOf(state, directory) && !isTreeRight(state, directory) ? { what: 'other tree', seen: '' } : undefined;
}

function pathOfDoubt(state: IndexState, doubt: Doubt): Uint8Array {
  if ('tree' in doubt) return pathOf(state, doubt.tree) ?? Buffer.alloc(0);
  const above = pathOf(state, doubt.place.parent) ?? Buffer.alloc(0);
  return Buffer.concat(above.byteLength === 0 ? [doubt.place.name] : [above, Buffer.from('/'), doubt.place.name]);
}

async function mend(state: IndexState, doubt: Doubt, what: Difference['what']): Promise<void> {
  if ('tree' in doubt) return mendTree(state, doubt.tree);
  listLater(state, doubt.place.parent, false);
  const inode = inodeAt(state, doubt.place);
  if (inode === undefined || rowOf(state, inode)?.kind !== 'file' || !placeOf(state, inode)) return;
  await mendContent(state, inode, what === 'blocks not where the index has them');
}

async function differenceAt(tools: CheckTools, place: Place): Promise<Found> {
  const { state, lookers, hashers } = tools;
  const path = pathOf(state, place.parent);
  if (!path) return undefined;
  const directories = [{ directory: place.parent, path, names: [place.name] }];
  const [outcome] = await lookers.run({ kind: 'look', directories });
  if (outcome?.kind !== 'seen') return undefined;
  const stands = outcome.states[0];
  const known = inodeAt(state, place);
  if (!stands) return known === undefined ? undefined : { what: 'gone from the directory', seen: `${known}` };
  const { inode, size, mtimeNs, ctimeNs } = stands;
  const found = (what: Difference['what']): Found => ({
    what,
    seen: `${inode} ${size} ${mtimeNs} ${ctimeNs} ${known}`,
  });
  if (known !== inode) return found('missing in the index');
  if (!isAsKnown(state, place, stands)) return found('other attributes');
  if (stands.kind !== 'file') return undefined;
  const [compared] = await compareContents(state, hashers, [inode]);
  if (compared?.found === 'other places') return found('blocks not where the index has them');
  return compared?.found === 'other content' ? found('other content') : undefined;
}

/** Lists one directory and compares names and attributes. @returns undefined if it cannot be read. */
export async function compareDirectory(
  { state, lookers }: Pick<CheckTools, 'state' | 'lookers'>,
  directory: bigint,
  signal?: AbortSignal,
): Promise<{ doubts: Place[]; files: Place[]; directories: bigint[] } | undefined> {
  const found = { doubts: [] as Place[], files: [] as Place[], directories: [] as bigint[] };
  const present = new Set<string>();
  let after: Uint8Array | undefined;
  for (let more = true; more; ) {
    checkInterrupted(signal);
    const path = pathOf(state, directory);
    if (!path) return undefined;
    const outcome = await lookers.run({ kind: 'list', directory, path, after, entriesMax: entriesPerPage });
    if (outcome.kind !== 'listed') return undefined;
    for (const { name, state: seen } of outcome.entries) {
      const place = { parent: directory, name: Uint8Array.from(name) };
      present.add(Buffer.from(name).toString('latin1'));
      if (!isAsKnown(state, place, seen)) found.doubts.push(place);
      if (seen.kind === 'directory' && !seen.isForeign) found.directories.push(seen.inode);
      if (seen.kind === 'file') found.files.push(place);
    }
    after = outcome.last;
    more = outcome.more;
  }
  for (const { name } of namesIn(state, directory)) {
    const isPresent = present.has(Buffer.from(name).toString('latin1'));
    if (!isPresent) found.doubts.push({ parent: directory, name: Uint8Array.from(name) });
  }
  return found;
}

class Walk {
  readonly doubts: Doubt[] = [];
  readonly progress: CheckProgress;
  unreadable = 0;
  readonly #tools: CheckTools;
  readonly #options: CheckOptions;
  /** Files with several names that were compared. */
  readonly #seen = new Set<bigint>();

  constructor(tools: CheckTools, options: CheckOptions) {
    this.#tools = tools;
    this.#options = options;
    this.progress = { directories: 0, files: 0, bytes: 0, bytesHashed: 0, bytesTotal: tools.state.totals.bytes };
  }

  async run(full: boolean): Promise<void> {
    const { state } = this.#tools;
    const waiting = [state.root];
    for (let directory = waiting.pop(); directory !== undefined; directory = waiting.pop()) {
      const found = await compareDirectory(this.#tools, directory, this.#options.signal);
      if (!found) {
        this.unreadable++;
        continue;
      }
      for (const place of found.doubts) this.#doubt({ place });
      waiting.push(...found.directories);
      if (!isTreeRight(state, directory)) this.#doubt({ tree: directory });
      this.progress.directories++;
      if (full) await this.#contents(found.files);
      this.#tell();
    }
  }

  async #contents(places: readonly Place[]): Promise<void> {
    const { state } = this.#tools;
    let batch = new Map<bigint, Place>();
    let bytes = 0;
    for (const place of places) {
      const inode = inodeAt(state, place);
      const row = inode === undefined ? undefined : rowOf(state, inode);
      if (inode === undefined || !row || this.#seen.has(inode)) continue;
      if (row.nlink > 1) this.#seen.add(inode);
      batch.set(inode, place);
      bytes += row.size;
      if (batch.size < filesPerRequest && bytes < bytesPerRequest) continue;
      await this.#compare(batch, bytes);
      batch = new Map();
      bytes = 0;
    }
    await this.#compare(batch, bytes);
  }

  async #compare(batch: ReadonlyMap<bigint, Place>, bytes: number): Promise<void> {
    checkInterrupted(this.#options.signal);
    const { state, hashers } = this.#tools;
    for (const { inode, found, bytes: hashed } of await compareContents(state, hashers, [...batch.keys()])) {
      this.progress.files++;
      this.progress.bytesHashed += hashed;
      if (found === 'unreadable') this.unreadable++;
      // What is changing just now is compared when it is level.
      else if (found !== 'same') this.#doubt({ place: batch.get(inode) as Place });
    }
    this.progress.bytes += bytes;
    this.#tell();
  }

  #tell(): void {
    this.#options.onProgress?.({ ...this.progress });
  }

  #doubt(doubt: Doubt): void {
    if (this.doubts.length < doubtsMax) this.doubts.push(doubt);
  }
}
