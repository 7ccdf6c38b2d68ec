/**
 * The index without threads, files and a disk: its loop, replay, looks, scans, hashing, trees and cuts over tables and a data
 * directory in memory. A seed decides what is done in the directory and at which point of the index's work, when it is told,
 * and how coarsely.
 */
import type { Clock } from '../../../src/core/clock.ts';
import { createDigester, digestHex } from '../../../src/core/digest.ts';
import type { Mutation } from '../../../src/core/mutation.ts';
import { isBlock } from '../../../src/core/recipe.ts';
import { type DirectoryEntry, decodeTree, type TreeEntry } from '../../../src/core/tree.ts';
import { Hashing } from '../../../src/index/hashing.ts';
import { IndexLoop } from '../../../src/index/index-loop.ts';
import { leveled, Turns } from '../../../src/index/leveling.ts';
import { MutationQueue } from '../../../src/index/mutation-queue.ts';
import { Scanner } from '../../../src/index/scanner.ts';
import { Scans } from '../../../src/index/scans.ts';
import { IndexState } from '../../../src/index/state.ts';
import { readTree, rootEntry } from '../../../src/index/trees.ts';
import { testDomain } from '../index-fixture.ts';
import { type Committed, MemoryTables } from './memory-tables.ts';
import { ModelDirectory, rootInode } from './model-directory.ts';
import { contentOf, ModelPool } from './model-pool.ts';

type Told = { mutation: Mutation } | { cut: bigint };

export interface ModelIndexOptions {
  directory: ModelDirectory;
  random(below: number): number;
  clock: Clock;
  /** What an earlier index had committed when it was killed. */
  committed?: Committed;
  /** Called between any two steps of the index. */
  between(): void;
}

/** Turns of the event loop until it must be at rest, each of some milliseconds. */
const waitsMax = 2000;

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 2));
}

/** Commits that are kept, to be killed at. */
const commitsKept = 200;

export class ModelIndex {
  readonly problems: string[] = [];
  readonly commits: Committed[] = [];
  readonly state: IndexState;
  readonly #options: ModelIndexOptions;
  readonly #memory: MemoryTables;
  readonly #queue: MutationQueue;
  readonly #hashing: Hashing;
  readonly #scanner: Scanner;
  readonly #scans: Scans;
  readonly #loop: IndexLoop;
  readonly #turns = new Turns();
  readonly #epochs = new Map<number, ModelDirectory>();
  #untold: Told[] = [];
  readonly #coarse = new Map<string, Mutation>();
  #untoldMax: number;

  constructor(options: ModelIndexOptions) {
    this.#options = options;
    this.#memory = new MemoryTables(options.committed);
    this.#memory.onCommit = () => {
      this.commits.push(this.#memory.committed);
      if (this.commits.length > commitsKept) this.commits.shift();
      options.between();
    };
    this.#untoldMax = options.random(3) === 0 ? 3 + options.random(10) : 1000;
    const { tables } = this.#memory;
    const digester = createDigester(testDomain.digestKey);
    const state = new IndexState({ tables, digester, cut: testDomain.cut, clock: options.clock, root: rootInode });
    this.state = state;
    const { pool } = new ModelPool({
      at: (epoch) => (epoch === undefined ? options.directory : (this.#epochs.get(epoch) ?? new ModelDirectory())),
      between: options.between,
    });
    this.#queue = new MutationQueue(rootInode, options.random(4) === 0 ? 20 : 10_000);
    this.#hashing = new Hashing({
      state,
      pool,
      onResults: () => this.#loop.wake(),
      waitingExtent: (inode) => this.#queue.extentOf(inode, state.cut.minBytes),
    });
    this.#scanner = new Scanner(state, pool);
    this.#scans = new Scans({ state, scanner: this.#scanner, found: 'unclean', onLevel: async () => undefined });
    this.#loop = new IndexLoop({
      state,
      queue: this.#queue,
      scanner: this.#scanner,
      hashing: this.#hashing,
      lookers: pool,
      onTurn: () => this.#scans.onTurn(this.#loop),
    });
  }

  async begin(): Promise<void> {
    await this.#loop.run(() => this.state.write(() => this.state.dirty.loadRanges({ areComplete: false })));
    this.#scans.scan(this.#loop, {}).catch(() => undefined);
  }

  /** What the engine reports; a full log keeps it in a coarser form, behind all it has. */
  report(mutations: readonly Mutation[]): void {
    for (const mutation of mutations) {
      if (this.#coarse.size === 0 && this.#untold.length < this.#untoldMax) this.#untold.push({ mutation });
      else for (const each of coarser(mutation)) this.#coarse.set(`${each.kind} ${each.inode}`, each);
    }
  }

  /** Lets the index know of the next `count` reports. */
  tell(count: number): void {
    for (const told of this.#untold.splice(0, count)) {
      if ('cut' in told) this.#queue.pushCut(told.cut);
      else this.#queue.push([told.mutation]);
    }
    if (this.#untold.length === 0) this.#flushCoarse((mutation) => this.#queue.push([mutation]));
    this.#loop.wake();
  }

  /** Makes a cut and compares it with the directory as it was. */
  async cut(title: string): Promise<void> {
    const settle = async () => this.tell(Number.POSITIVE_INFINITY);
    const openEpoch = async (number: bigint) => {
      this.#options.between();
      this.#flushCoarse((mutation) => this.#untold.push({ mutation }));
      this.#untold.push({ cut: number });
      const id = Number(number);
      this.#epochs.set(id, this.#options.directory.copy());
      const timeNs = BigInt(Math.floor(this.#options.clock.nowMs())) * 1_000_000n;
      this.tell(Number.POSITIVE_INFINITY);
      return { id, timeNs, heldNs: 0, failure: () => '', close: async () => void this.#epochs.delete(id) };
    };
    const { state } = this;
    const tools = { state, queue: this.#queue, hashing: this.#hashing, loop: this.#loop, turns: this.#turns, settle };
    const ensureScanned = (signal: AbortSignal | undefined) => this.#scans.ensure(this.#loop, signal);
    await leveled(
      { ...tools, epochs: { openEpoch }, ensureScanned },
      { capture: ({ epoch }) => this.#compare(title, this.#epochs.get(epoch?.id ?? -1) as ModelDirectory) },
    );
  }

  /** Waits until there is nothing more to do. */
  async rest(): Promise<void> {
    const { state } = this;
    for (let waits = 0; state.isDoubtful && waits < waitsMax; waits++) await pause();
    if (state.isDoubtful) this.problems.push(`still in doubt: ${[...state.strays]}`);
  }

  async end(): Promise<void> {
    this.#scans.close();
    await this.#loop.end();
    if (this.#loop.failure !== undefined) throw this.#loop.failure;
  }

  #flushCoarse(to: (mutation: Mutation) => void): void {
    const coarse = [...this.#coarse.values()];
    this.#coarse.clear();
    const isRoot = coarse.some(({ kind, inode }) => kind === 'subtree' && inode === rootInode);
    const root: Mutation[] = [
      { kind: 'inode', inode: rootInode },
      { kind: 'subtree', inode: rootInode },
    ];
    for (const mutation of isRoot ? root : coarse.sort((a, b) => (a.kind < b.kind ? -1 : 1))) to(mutation);
  }

  #compare(title: string, directory: ModelDirectory): void {
    const root = rootEntry(this.state);
    if (!root) this.problems.push(`${title}: no tree`);
    else this.#compareBelow(title, root, { directory, inode: rootInode });
  }

  #compareBelow(
    path: string,
    entry: Pick<DirectoryEntry, 'tree'>,
    { directory, inode }: { directory: ModelDirectory; inode: bigint },
  ): void {
    const bytes = readTree(this.state, entry.tree, this.#memory.tables.openView());
    const entries = new Map<string, TreeEntry>();
    for (const each of bytes ? decodeTree(bytes) : []) entries.set(Buffer.from(each.name).toString(), each);
    const real = directory.node(inode).entries;
    for (const name of entries.keys()) if (!real.has(name)) this.problems.push(`${path}/${name}: only in the index`);
    for (const [name, each] of real) {
      const node = directory.node(each);
      const here = `${path}/${name}`;
      const shown = entries.get(name);
      if (!shown) this.problems.push(`${here} (${node.kind} ${each}): only in the directory`);
      else if (shown.kind !== node.kind) this.problems.push(`${here}: other kind`);
      else if (shown.mode !== node.mode || shown.mtimeNs !== node.mtimeNs)
        this.problems.push(`${here}: other attributes`);
      if (shown?.kind === 'directory' && node.kind === 'directory')
        this.#compareBelow(here, shown, { directory, inode: each });
      if (shown?.kind === 'file' && node.kind === 'file' && digestsIn(shown) !== digestsOf(node))
        this.problems.push(`${here} (${each}): other content`);
    }
  }
}

function digestsIn({ content }: Extract<TreeEntry, { kind: 'file' }>): string {
  if (!('segments' in content)) return 'none';
  return content.segments.flatMap((segment) => (isBlock(segment) ? [digestHex(segment.digest)] : [])).join(' ');
}

function digestsOf(node: Parameters<typeof contentOf>[0]): string {
  const { pieces } = contentOf(node);
  return pieces
    .flatMap((piece) =>
      'digests' in piece
        ? [...Array(piece.digests.byteLength / 32).keys()].map((at) =>
            digestHex(piece.digests.subarray(at * 32, at * 32 + 32)),
          )
        : [],
    )
    .join(' ');
}

/** What the engine makes of a mutation when it has no room. */
function coarser(mutation: Mutation): Mutation[] {
  const inode: Mutation = { kind: 'inode', inode: mutation.inode };
  switch (mutation.kind) {
    case 'create':
    case 'link':
    case 'unlink':
      return [inode, { kind: 'subtree', inode: mutation.parent }];
    case 'rename':
      return [inode, { kind: 'subtree', inode: mutation.parent }, { kind: 'subtree', inode: mutation.newParent }];
    default:
      return [inode];
  }
}
