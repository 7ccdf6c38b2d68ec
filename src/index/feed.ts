/** The feed: what the index gained and lost, for the repository. */
import { randomId } from '../core/clock.ts';
import { type Digest, type DigestKey, digestFromKey, digestKey } from '../core/digest.ts';
import { CovaultError } from '../core/errors.ts';
import type { FeedSource } from '../core/ports.ts';
import { firstKept } from './feed-collector.ts';
import { sequenceKey, sequenceOfKey, unpackFeedChange } from './layout.ts';
import { metaKeys, readCount, readText, writeCount, writeMeta } from './meta.ts';
import type { IndexState } from './state.ts';

/** Runs a task in the index's loop. */
export type RunInLoop = <T>(task: () => Promise<T>) => Promise<T>;

/** Changes removed in one transaction. */
const changesPerTransaction = 1024;

/**
 * Digests kept for a repository that does not fetch them. Beyond, the changes are forgotten and a new history begins,
 * so that the repository asks for the holdings instead, which are then fewer.
 */
export const feedDigestsMax = 4_000_000;

export class Feed implements FeedSource {
  readonly #state: IndexState;
  readonly #run: RunInLoop;
  readonly #digestsMax: number;
  #history: string;
  #isTrimming = false;
  readonly #stopListening: () => void;

  constructor(state: IndexState, run: RunInLoop, digestsMax = feedDigestsMax) {
    this.#state = state;
    this.#run = run;
    this.#digestsMax = digestsMax;
    this.#history = readText(state.tables, metaKeys.history) ?? '';
    this.#stopListening = state.feed.listen(() => this.#trim());
  }

  close(): void {
    this.#stopListening();
  }

  history(): string {
    return this.#history;
  }

  /** Only what would survive a power cut is given out, so that a number never comes to mean something else. */
  lastSequence(): number {
    return this.#state.feed.durableSequence;
  }

  /** @throws CovaultError `E_NOT_FOUND` if changes after `sequence` were forgotten: the holdings must be sent. */
  changesAfter(sequence: number, digestsMax: number): { gained: Digest[]; lost: Digest[]; upTo: number } {
    const last = this.lastSequence();
    if (sequence > this.#state.feed.sequence) throw forgotten(sequence);
    if (sequence >= last) return { gained: [], lost: [], upTo: sequence };
    if (sequence < readCount(this.#state.tables, metaKeys.acknowledged)) throw forgotten(sequence);
    const first = firstKept(this.#state.tables);
    if (first === undefined || first > sequence + 1) throw forgotten(sequence);
    const gained = new Set<DigestKey>();
    const lost = new Set<DigestKey>();
    let upTo = sequence;
    const range = { start: sequenceKey(sequence + 1), end: sequenceKey(last + 1) };
    for (const { key, value } of this.#state.tables.feed.range(range)) {
      const change = unpackFeedChange(value);
      for (const digest of change.gained) fold(digestKey(digest), { into: gained, outOf: lost });
      for (const digest of change.lost) fold(digestKey(digest), { into: lost, outOf: gained });
      upTo = sequenceOfKey(key);
      if (gained.size + lost.size >= digestsMax) break;
    }
    return { gained: [...gained].map(digestFromKey), lost: [...lost].map(digestFromKey), upTo };
  }

  acknowledge(sequence: number): Promise<void> {
    return this.#run(async () => {
      if (sequence <= readCount(this.#state.tables, metaKeys.acknowledged)) return;
      const upTo = Math.min(sequence, this.#state.feed.sequence);
      await this.#remove(upTo);
      await this.#state.write(() => writeCount(this.#state.tables, metaKeys.acknowledged, upTo));
    });
  }

  holdings(digestsPerPage: number): { sequence: number; pages: Iterable<Digest[]>; close(): void } {
    const { tables } = this.#state;
    const view = tables.openView();
    let isOpen = true;
    const close = () => {
      if (isOpen) view.done();
      isOpen = false;
    };
    const sequence = readCount(tables, metaKeys.sequence, view);
    const isStillOpen = () => isOpen;
    return { sequence, pages: { [Symbol.iterator]: () => pagesOf(isStillOpen, tables, view, digestsPerPage) }, close };
  }

  async changedAfter(sequence: number, { signal }: { signal: AbortSignal }): Promise<void> {
    if (signal.aborted) throw interrupted();
    if (this.lastSequence() > sequence) return;
    await new Promise<void>((resolve, reject) => {
      const finish = (act: () => void) => {
        stop();
        signal.removeEventListener('abort', onAbort);
        act();
      };
      const onAbort = () => finish(() => reject(interrupted()));
      const stop = this.#state.feed.listen(() => {
        if (this.lastSequence() > sequence) finish(resolve);
      });
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  #trim(): void {
    if (this.#isTrimming || this.#state.feed.digestCount <= this.#digestsMax) return;
    this.#isTrimming = true;
    this.#run(async () => {
      const history = randomId();
      await this.#state.write(() => writeMeta(this.#state.tables, metaKeys.history, history));
      this.#history = history;
      await this.#remove(this.#state.feed.sequence);
    })
      .catch(() => undefined)
      .finally(() => {
        this.#isTrimming = false;
      });
  }

  async #remove(upTo: number): Promise<void> {
    const { feed } = this.#state.tables;
    for (;;) {
      const some = [...feed.range({ end: sequenceKey(upTo + 1), limit: changesPerTransaction })];
      if (some.length === 0) return;
      await this.#state.write(() => {
        for (const { key } of some) feed.remove(key);
      });
      this.#state.feed.removed(some.reduce((sum, { value }) => sum + Math.floor(value.byteLength / 32), 0));
    }
  }
}

/** What becomes of a digest last counts, also when that is what it was: a part of these changes may have been taken in. */
function fold(key: DigestKey, { into, outOf }: { into: Set<DigestKey>; outOf: Set<DigestKey> }): void {
  outOf.delete(key);
  into.add(key);
}

function* pagesOf(
  isOpen: () => boolean,
  tables: IndexState['tables'],
  view: ReturnType<IndexState['tables']['openView']>,
  digestsPerPage: number,
): Generator<Digest[]> {
  const recipes = tables.recipeHolders.keys({ view })[Symbol.iterator]();
  const blocks = tables.blocks.keys({ view })[Symbol.iterator]();
  let recipe = recipes.next();
  let block = blocks.next();
  let page: Digest[] = [];
  try {
    while (!recipe.done || !block.done) {
      const order = recipe.done ? 1 : block.done ? -1 : Buffer.compare(recipe.value, block.value);
      page.push((order < 0 ? recipe.value : block.value) as Digest);
      if (order <= 0) recipe = recipes.next();
      if (order >= 0) block = blocks.next();
      if (page.length < digestsPerPage) continue;
      yield page;
      if (!isOpen()) throw new CovaultError('E_INTERRUPTED', 'the holdings were closed while they were read');
      page = [];
    }
    if (page.length > 0) yield page;
  } finally {
    recipes.return?.();
    blocks.return?.();
  }
}

function forgotten(sequence: number): CovaultError {
  return new CovaultError('E_NOT_FOUND', `changes after ${sequence} are forgotten`, { hint: 'send the holdings' });
}

function interrupted(): CovaultError {
  return new CovaultError('E_INTERRUPTED', 'interrupted while waiting for changes');
}
