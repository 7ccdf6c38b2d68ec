/**
 * Compares the index with the data directory: names and attributes by listing, contents by hashing everything again. What
 * differs is looked at a second time after the index got level, since files go on changing; what differs still is a miss:
 * a change of which no mutation told. Misses are counted, reported, and mended by a listing and another hashing.
 */
import { CovaultError } from '../core/errors.ts';
import type { Segment } from '../core/recipe.ts';
import { assembled, contentChange } from './content.ts';
import { rowOf, segmentsOf } from './holdings.ts';
import type { IndexLoop } from './index-loop.ts';
import type { Place } from './layout.ts';
import { inodeAt, namesIn, pathOf, placeOf } from './names.ts';
import { differVisibly, type NodeState, withState } from './node-state.ts';
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
  bytesHashed: number;
}

export interface CheckOptions {
  signal?: AbortSignal;
  onProgress?: (progress: CheckProgress) => void;
  /** False: names and attributes only. */
  full?: boolean;
}

export interface Difference {
  /** Relative to the data directory. */
  path: Uint8Array;
  what: 'missing in the index' | 'gone from the directory' | 'other attributes' | 'other content';
}

export interface CheckReport extends CheckProgress {
  /** Changes that the index had missed; it has been put right since. */
  misses: number;
  /** The first thousand of them. */
  differences: Difference[];
}

const differencesMax = 1000;
const entriesPerPage = 1024;
/** Files given to a worker at once. */
const filesPerRequest = 16;
/** Doubtful places kept for the second look; beyond, the rest is found by the next check. */
const doubtsMax = 100_000;

/** @throws CovaultError `E_INTERRUPTED`. */
export async function checkIndex(tools: CheckTools, options: CheckOptions): Promise<CheckReport> {
  const { signal, full = true } = options;
  await tools.level(signal);
  const walk = new Walk(tools, options);
  await walk.run(full);
  const report: CheckReport = { ...walk.progress, misses: 0, differences: [] };
  if (walk.doubts.length === 0) return report;
  await tools.level(signal);
  const differences = await confirmed(tools, walk.doubts);
  report.misses = differences.length;
  report.differences = differences.slice(0, differencesMax);
  return report;
}

/** Of these places, those that are not as the index has them although it is level; counted and mended. */
export async function confirmed(tools: CheckTools, doubts: readonly Place[]): Promise<Difference[]> {
  const { state } = tools;
  const missed: { place: Place; difference: Difference }[] = [];
  for (const place of doubts) {
    const what = await differenceAt(tools, place, true);
    if (!what) continue;
    const above = pathOf(state, place.parent) ?? Buffer.alloc(0);
    const path = Buffer.concat(above.byteLength === 0 ? [place.name] : [above, Buffer.from('/'), place.name]);
    missed.push({ place, difference: { path, what } });
  }
  // Only now, because putting one right lists its whole directory.
  for (const { place, difference } of missed) {
    state.counters.misses++;
    tools.onMiss?.(difference.path, difference.what);
    await tools.loop.run(() => mend(state, place));
  }
  return missed.map(({ difference }) => difference);
}

/** What of the file's content is not as the index has it; `undefined` if that cannot be told. */
export async function contentDiffers(
  tools: CheckTools,
  inode: bigint,
): Promise<{ differs: boolean; bytes: number } | undefined> {
  const { state } = tools;
  const path = pathOf(state, inode);
  if (!path || state.dirty.has(inode)) return undefined;
  const [outcome] = await tools.hashers.run({ kind: 'hash', files: [{ inode, path, old: undefined }] });
  const row = rowOf(state, inode);
  if (outcome?.kind !== 'read' || row?.kind !== 'file' || state.dirty.has(inode)) return undefined;
  const segments = assembled(outcome.pieces, []).segments;
  const isSame = row.content?.size === outcome.size && areSame(segmentsOf(state, inode, row.content), segments);
  return { differs: !isSame, bytes: outcome.bytesHashed };
}

class Walk {
  readonly doubts: Place[] = [];
  readonly progress: CheckProgress = { directories: 0, files: 0, bytesHashed: 0 };
  readonly #tools: CheckTools;
  readonly #options: CheckOptions;
  readonly #seen = new Set<bigint>();

  constructor(tools: CheckTools, options: CheckOptions) {
    this.#tools = tools;
    this.#options = options;
  }

  async run(full: boolean): Promise<void> {
    const waiting = [this.#tools.state.root];
    for (let directory = waiting.pop(); directory !== undefined; directory = waiting.pop()) {
      const files = await this.#directory(directory, waiting);
      if (full) await this.#contents(files);
      this.#options.onProgress?.({ ...this.progress });
    }
  }

  /** Compares one directory's names and attributes. @returns its files. */
  async #directory(directory: bigint, waiting: bigint[]): Promise<Place[]> {
    const { state, lookers } = this.#tools;
    const files: Place[] = [];
    const present = new Set<string>();
    let after: Uint8Array | undefined;
    for (let more = true; more; ) {
      this.#checkSignal();
      const path = pathOf(state, directory);
      if (!path) return files;
      const outcome = await lookers.run({ kind: 'list', directory, path, after, entriesMax: entriesPerPage });
      if (outcome.kind !== 'listed') return files;
      for (const { name, state: seen } of outcome.entries) {
        const place = { parent: directory, name };
        present.add(Buffer.from(name).toString('latin1'));
        if (!isAsKnown(state, place, seen)) this.#doubt(place);
        if (seen.kind === 'directory' && !seen.isForeign) waiting.push(seen.inode);
        if (seen.kind === 'file') files.push(place);
      }
      after = outcome.entries.at(-1)?.name ?? after;
      more = outcome.more;
    }
    for (const { name } of namesIn(state, directory)) {
      if (!present.has(Buffer.from(name).toString('latin1'))) this.#doubt({ parent: directory, name });
    }
    this.progress.directories++;
    return files;
  }

  async #contents(files: readonly Place[]): Promise<void> {
    for (let at = 0; at < files.length; at += filesPerRequest) {
      this.#checkSignal();
      await Promise.all(files.slice(at, at + filesPerRequest).map((place) => this.#content(place)));
    }
  }

  async #content(place: Place): Promise<void> {
    const { state } = this.#tools;
    const inode = inodeAt(state, place);
    if (inode === undefined || this.#seen.has(inode)) return;
    const row = rowOf(state, inode);
    if (row && row.nlink > 1) this.#seen.add(inode);
    const result = await contentDiffers(this.#tools, inode);
    this.progress.files++;
    this.progress.bytesHashed += result?.bytes ?? 0;
    if (result?.differs) this.#doubt(place);
  }

  #doubt(place: Place): void {
    if (this.doubts.length < doubtsMax) this.doubts.push({ parent: place.parent, name: Uint8Array.from(place.name) });
  }

  #checkSignal(): void {
    if (this.#options.signal?.aborted) throw new CovaultError('E_INTERRUPTED', 'the check was interrupted');
  }
}

async function differenceAt(tools: CheckTools, place: Place, full: boolean): Promise<Difference['what'] | undefined> {
  const { state, lookers } = tools;
  const path = pathOf(state, place.parent);
  if (!path) return undefined;
  const [outcome] = await lookers.run({
    kind: 'look',
    directories: [{ directory: place.parent, path, names: [place.name] }],
  });
  if (outcome?.kind !== 'seen') return undefined;
  const seen = outcome.states[0];
  const known = inodeAt(state, place);
  if (!seen) return known === undefined ? undefined : 'gone from the directory';
  if (known !== seen.inode) return 'missing in the index';
  if (!isAsKnown(state, place, seen)) return 'other attributes';
  if (!full || seen.kind !== 'file') return undefined;
  return (await contentDiffers(tools, seen.inode))?.differs ? 'other content' : undefined;
}

/** A file that is dirty is known to be behind. */
function isAsKnown(state: IndexState, place: Place, seen: NodeState): boolean {
  const inode = inodeAt(state, place);
  const row = inode === undefined ? undefined : rowOf(state, inode);
  if (inode !== seen.inode || !row) return false;
  return state.dirty.has(inode) || (!differVisibly(row, withState(row, seen)) && row.size === seen.size);
}

async function mend(state: IndexState, place: Place): Promise<void> {
  listLater(state, place.parent, false);
  const inode = inodeAt(state, place);
  if (inode === undefined || rowOf(state, inode)?.kind !== 'file' || !placeOf(state, inode)) return;
  await state.write(() => state.dirty.mark(inode, 'whole'));
}

function areSame(a: readonly Segment[], b: readonly Segment[]): boolean {
  const { added, removed } = contentChange(a, b);
  return a.length === b.length && added.length === 0 && removed.length === 0;
}
