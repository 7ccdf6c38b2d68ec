/**
 * Lists directories and compares what is there with what the index knows: the whole data directory at the start, single
 * directories when only so much is known as that something changed in them. Runs in the index's loop, one step after
 * the other, with no mutation applied between a listing and its use: whatever changes meanwhile is told by mutations
 * that are applied, and looked at, later.
 */
import { rowOf } from './holdings.ts';
import { isDirectory, namesIn, pathOf, placeOf, removeName } from './names.ts';
import { observe, observeInode } from './observe.ts';
import { listLater } from './replay.ts';
import type { IndexState } from './state.ts';
import type { WorkerPool } from './worker-pool.ts';
import type { ListOutcome } from './worker-protocol.ts';

/** Entries asked for at once, and entries put into one transaction. */
const entriesPerPage = 1024;
const entriesPerTransaction = 256;

/**
 * Directories asked for ahead. Listing is faster than the tables take it, so this bounds what waits in memory: a page of
 * each, about 1 KiB for an entry.
 */
const directoriesAhead = 8;

/** A step asks for no further directory after so many directories, or so many entries. */
const directoriesPerStep = 128;
const entriesPerStep = 8192;

/** After so many tries of a directory that is not where its name is, the one above it is listed, too. */
const triesBeforeAbove = 3;

interface Task {
  directory: bigint;
  /** With all below it. */
  deep: boolean;
  tries: number;
}

interface Asked {
  task: Task;
  outcome: Promise<ListOutcome>;
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

  /** Has directories listed that hung on nothing and do no more. @returns whether there are any. */
  takeUp(): boolean {
    const before = this.#stack.length;
    this.#adrift = this.#adrift.filter((task) => {
      if (pathOf(this.#state, task.directory)) this.#stack.push(task);
      else return isDirectory(this.#state, task.directory);
      return false;
    });
    return this.#stack.length > before;
  }

  /** Ends the doubt when everything was listed that there was. */
  endDoubt(): void {
    const state = this.#state;
    if (!state.isDoubtful || this.waiting > 0 || state.strays.size > 0 || this.takeUp()) return;
    state.isDoubtful = this.#adrift.length > 0;
  }

  /** Lists a few directories. */
  async step(): Promise<void> {
    for (const [directory, deep] of this.#state.unlisted) this.#stack.push({ directory, deep, tries: 0 });
    this.#state.unlisted.clear();
    await this.#takeListings();
  }

  /** The next directory that there is a path to. */
  #askNext(): Asked | undefined {
    for (;;) {
      const task = this.#stack.pop();
      if (!task) return undefined;
      const outcome = this.#ask(task, undefined);
      if (outcome) return { task, outcome };
      if (!this.#state.foreign.has(task.directory) && isDirectory(this.#state, task.directory)) this.#adrift.push(task);
    }
  }

  /** Listings of a few directories, in the order in which they were asked for. */
  async *#listings(): AsyncGenerator<{ task: Task; outcome: ListOutcome }> {
    const asked: Asked[] = [];
    let directories = 0;
    let entries = 0;
    try {
      for (;;) {
        while (asked.length < directoriesAhead && directories < directoriesPerStep && entries < entriesPerStep) {
          const next = this.#askNext();
          if (!next) break;
          asked.push(next);
          directories++;
        }
        const first = asked.shift();
        if (!first) return;
        const outcome = await first.outcome;
        if (outcome.kind === 'listed') entries += outcome.entries.length;
        yield { task: first.task, outcome };
      }
    } finally {
      // What is asked must not be left behind, also if putting it into the tables fails.
      await Promise.allSettled(asked.map(({ outcome }) => outcome));
    }
  }

  /** Puts listings into the tables as they arrive, several small ones in one transaction. */
  async #takeListings(): Promise<void> {
    let small: Listed[] = [];
    let entries = 0;
    for await (const { task, outcome } of this.#listings()) {
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
        this.#applyEntries(each, each.outcome.entries, undefined);
      }
    });
  }

  /** A large directory: page by page, each page in several transactions. */
  async #applyLarge(task: Task, first: Listed['outcome']): Promise<void> {
    await this.#state.write(() => this.#applySelf(task, first));
    let outcome = first;
    let after: Uint8Array | undefined;
    for (;;) {
      const { entries, more, last } = outcome;
      for (let at = 0; at === 0 || at < entries.length; at += entriesPerTransaction) {
        const some = entries.slice(at, at + entriesPerTransaction);
        const isEnd = at + entriesPerTransaction >= entries.length;
        const end = isEnd ? last : some.at(-1)?.name;
        await this.#state.write(() =>
          this.#applyEntries({ task, outcome, after }, some, isEnd && !more ? undefined : end),
        );
        after = end;
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
    if (task.deep) this.#state.strays.delete(task.directory);
    observeInode(this.#state, self, { by: 'listed', isNew: true });
  }

  /** `entries` are all there are after `listed.after`, up to the name `end` or, without one, at all. */
  #applyEntries({ task, after }: Listed, entries: Listed['outcome']['entries'], end: Uint8Array | undefined): void {
    const state = this.#state;
    const present = new Set(entries.map(({ name }) => Buffer.from(name).toString('latin1')));
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
