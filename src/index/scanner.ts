/**
 * Lists directories and compares what is there with what the index knows: the whole data directory at the start, single
 * directories when only so much is known as that something changed in them. Runs in the index's loop, one step after
 * the other, with no mutation applied between a listing and its use: whatever changes meanwhile is told by mutations
 * that are applied, and looked at, later.
 */
import { rowOf } from './holdings.ts';
import { inodeKey } from './layout.ts';
import { dropPlace, isDirectory, namesIn, pathOf, placeOf, placesOf, removeName } from './names.ts';
import { observe, observeInode } from './observe.ts';
import { listLater } from './replay.ts';
import type { IndexState } from './state.ts';
import type { WorkerPool } from './worker-pool.ts';
import type { ListOutcome } from './worker-protocol.ts';

/** Entries asked for at once, entries put into one transaction, and directories asked for ahead. */
const entriesPerPage = 1024;
const entriesPerTransaction = 256;
const directoriesAhead = 128;

/** After so many tries of a directory that is not where its name is, the one above it is listed, too. */
const triesBeforeAbove = 3;

interface Task {
  directory: bigint;
  /** With all below it. */
  deep: boolean;
  tries: number;
}

interface Listed {
  task: Task;
  outcome: Extract<ListOutcome, { kind: 'listed' }>;
  after: Uint8Array | undefined;
}

export interface ScanCounts {
  directories: number;
  /** Regular files, counted by name. */
  files: number;
  /** Bytes of these, as the file system tells. */
  bytes: number;
}

export class Scanner {
  readonly #state: IndexState;
  readonly #pool: WorkerPool;
  readonly #stack: Task[] = [];
  /**
   * Directories that were not where they should be; tried again when the names have moved on. None is dropped before it
   * was listed or forgotten: that something changed in it is known from nowhere else.
   */
  #later: Task[] = [];
  /** Directories that hang on nothing: found again, with a name, or forgotten. */
  #adrift: Task[] = [];
  readonly counts: ScanCounts = { directories: 0, files: 0, bytes: 0 };

  constructor(state: IndexState, pool: WorkerPool) {
    this.#state = state;
    this.#pool = pool;
  }

  /** Whether there is a directory to be listed now. */
  get hasWork(): boolean {
    return this.#stack.length > 0 || this.#state.unlisted.size > 0;
  }

  /** Directories that wait for names to move on. */
  get laterCount(): number {
    return this.#later.length;
  }

  /** Directories known to be still to list. */
  get waiting(): number {
    return this.#stack.length + this.#later.length + this.#state.unlisted.size;
  }

  /** Forgets what is still to do. */
  abandon(): void {
    this.#stack.length = 0;
    this.#later = [];
    this.#adrift = [];
    this.#state.unlisted.clear();
  }

  /** Lets directories be tried again that were not where they should be. */
  retry(): void {
    this.#stack.push(...this.#later.splice(0), ...this.#adrift.splice(0));
  }

  /** Lists a few directories. */
  async step(): Promise<void> {
    for (const [directory, deep] of this.#state.unlisted) this.#stack.push({ directory, deep, tries: 0 });
    this.#state.unlisted.clear();
    const asked: { task: Task; outcome: Promise<ListOutcome> }[] = [];
    while (asked.length < directoriesAhead) {
      const task = this.#stack.pop();
      if (!task) break;
      const outcome = this.#ask(task, undefined);
      if (outcome) asked.push({ task, outcome });
      else if (!this.#state.foreign.has(task.directory) && isDirectory(this.#state, task.directory))
        this.#adrift.push(task);
    }
    try {
      await this.#take(asked);
    } finally {
      // What is asked must not be left behind, also if putting it into the tables fails.
      await Promise.allSettled(asked.map(({ outcome }) => outcome));
    }
  }

  /** Puts listings into the tables as they arrive, several small ones in one transaction. */
  async #take(asked: readonly { task: Task; outcome: Promise<ListOutcome> }[]): Promise<void> {
    let small: Listed[] = [];
    let entries = 0;
    for (const { task, outcome: promise } of asked) {
      const outcome = await promise;
      if (outcome.kind !== 'listed') {
        this.#missed(task, outcome);
        continue;
      }
      if (outcome.more || outcome.entries.length > entriesPerTransaction) {
        await this.#applyLarge(task, outcome);
        continue;
      }
      small.push({ task, outcome, after: undefined });
      entries += outcome.entries.length + 1;
      if (entries < entriesPerTransaction) continue;
      await this.#apply(small);
      small = [];
      entries = 0;
    }
    await this.#apply(small);
  }

  #ask({ directory }: Task, after: Uint8Array | undefined): Promise<ListOutcome> | undefined {
    const path = this.#state.foreign.has(directory) ? undefined : pathOf(this.#state, directory);
    if (!path) return undefined;
    const epoch = this.#state.epoch?.id;
    return this.#pool.run({ kind: 'list', epoch, directory, path, after, entriesMax: entriesPerPage });
  }

  #missed(task: Task, outcome: Exclude<ListOutcome, { kind: 'listed' }>): void {
    if (outcome.kind === 'failed') {
      this.#state.unreadable.set(task.directory, outcome.code);
      return;
    }
    const row = rowOf(this.#state, task.directory);
    // Its number may stand for something else by now, of which the listing of another directory tells.
    if (row ? row.kind !== 'directory' : !placeOf(this.#state, task.directory)) return;
    const tries = task.tries + 1;
    this.#later.push({ ...task, tries });
    if (tries % triesBeforeAbove !== 0) return;
    const above = placeOf(this.#state, task.directory)?.parent;
    if (above !== undefined) listLater(this.#state, above, false);
  }

  async #apply(listed: readonly Listed[]): Promise<void> {
    if (listed.length === 0) return;
    await this.#state.write(() => {
      for (const each of listed) {
        this.#applySelf(each.task, each.outcome);
        this.#applyEntries(each, each.outcome.entries, !each.outcome.more);
      }
    });
  }

  /** A large directory: page by page, each page in several transactions. */
  async #applyLarge(task: Task, first: Listed['outcome']): Promise<void> {
    await this.#state.write(() => this.#applySelf(task, first));
    let outcome = first;
    let after: Uint8Array | undefined;
    for (;;) {
      for (let at = 0; at === 0 || at < outcome.entries.length; at += entriesPerTransaction) {
        const some = outcome.entries.slice(at, at + entriesPerTransaction);
        const isLast = !outcome.more && at + entriesPerTransaction >= outcome.entries.length;
        await this.#state.write(() => this.#applyEntries({ task, outcome, after }, some, isLast));
        after = some.at(-1)?.name ?? after;
      }
      if (!outcome.more) return;
      const next = (await this.#ask(task, after)) ?? { kind: 'gone' };
      if (next.kind !== 'listed') {
        this.#missed(task, next);
        return;
      }
      outcome = next;
    }
  }

  #applySelf(task: Task, { self }: Listed['outcome']): void {
    this.counts.directories++;
    this.#state.unreadable.delete(task.directory);
    observeInode(this.#state, self, { by: 'listed', isNew: true });
  }

  /** `entries` are all there are after `listed.after`, up to the last of them or, if `isLast`, at all. */
  #applyEntries({ task, after }: Listed, entries: Listed['outcome']['entries'], isLast: boolean): void {
    const state = this.#state;
    const present = new Set(entries.map(({ name }) => Buffer.from(name).toString('latin1')));
    const end = isLast ? undefined : entries.at(-1)?.name;
    const gone: Uint8Array[] = [];
    for (const { name } of namesIn(state, task.directory, after)) {
      if (end && Buffer.compare(name, end) > 0) break;
      if (!present.has(Buffer.from(name).toString('latin1'))) gone.push(name);
    }
    for (const name of gone) removeName(state, { parent: task.directory, name });
    for (const { name, state: seen } of entries) {
      if (seen.kind === 'file') {
        this.counts.files++;
        this.counts.bytes += seen.size;
      }
      observe(state, { parent: task.directory, name }, seen, { by: 'listed', isNew: false });
      if (seen.kind !== 'directory' || seen.isForeign || !task.deep) continue;
      state.unlisted.delete(seen.inode);
      this.#stack.push({ directory: seen.inode, deep: true, tries: 0 });
    }
  }
}

/**
 * After the whole directory was listed: names and inodes that nothing leads to from the root any more, because an
 * earlier run ended between two transactions. @returns how many inodes were found.
 */
export async function findUnreachable(state: IndexState, pause: () => Promise<void>): Promise<number> {
  const reachable = new Map<bigint, boolean>([[state.root, true]]);
  let found = 0;
  let after: Uint8Array | undefined;
  for (;;) {
    const start = after === undefined ? inodeKey(0n) : Buffer.concat([after, Buffer.alloc(1)]);
    const keys = [...state.tables.inodes.keys({ start, limit: 2048 })];
    for (const key of keys) {
      const inode = key.readBigUInt64BE(0);
      if (isReachable(state, inode, reachable)) continue;
      state.orphans.add(inode);
      found++;
    }
    after = keys.at(-1);
    if (keys.length < 2048) break;
    await pause();
  }
  const adrift = [...state.orphans].filter((inode) => placeOf(state, inode) && !isReachable(state, inode, reachable));
  for (const inode of adrift) {
    await state.write(() => {
      for (const place of placesOf(state, inode)) dropPlace(state, inode, place);
    });
  }
  return found;
}

/** Remembers directories only: `reachable` grows with their number, not with that of the files. */
function isReachable(state: IndexState, inode: bigint, reachable: Map<bigint, boolean>): boolean {
  const way: bigint[] = [];
  const onWay = new Set<bigint>();
  let at: bigint | undefined = inode;
  while (at !== undefined && !reachable.has(at) && !onWay.has(at)) {
    way.push(at);
    onWay.add(at);
    at = placeOf(state, at)?.parent;
  }
  const answer = at !== undefined && reachable.get(at) === true;
  for (const each of way) if (each !== inode || !answer) reachable.set(each, answer);
  return answer;
}
