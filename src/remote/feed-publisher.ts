/**
 * Keeps the repository level with a feed: sends changes after the acknowledged position, and everything afresh when
 * the repository has nothing to go on from.
 */
import type { Digest } from '../core/digest.ts';
import { type CovaultError, isCovaultError } from '../core/errors.ts';
import { limits } from '../core/limits.ts';
import type { FeedSource } from '../core/ports.ts';
import { type Backoff, backoffMs, pauseQuietly, type Waiting } from './backoff.ts';
import { ownError } from './connection-error.ts';
import { withDeadline } from './deadline.ts';
import type { RepositoryClient } from './repository-client.ts';

/** What `status` shows of the publishing. */
export interface PublisherState {
  /** `level`: the repository has everything; `behind`: changes or all holdings are on their way; `failed`: waiting to try again. */
  phase: 'starting' | 'behind' | 'resync' | 'level' | 'failed';
  /** The last sequence number that the repository acknowledged, and the history it counts in; undefined before the first. */
  history: string | undefined;
  acknowledged: number | undefined;
  /** Times that sending everything afresh was begun. */
  resyncs: number;
  /** Why the last attempt failed; undefined once one succeeded. */
  error: CovaultError | undefined;
}

export interface PublishOptions extends Waiting {
  signal: AbortSignal;
  /** Between attempts; 0.5 s doubling to 30 s unless told. */
  backoff?: Backoff;
  /** Digests in one request. */
  digestsPerRequest?: number;
  /** How often an idle publisher asks whether the repository still has what it acknowledged, milliseconds. */
  recheckMs?: number;
}

const defaults = { firstMs: 500, maxMs: 30_000, digestsPerRequest: 16_384, recheckMs: 60_000 } as const;
/** Attempts at one page of a resync, in which the index holds a moment open, before it is begun anew. */
const pageAttempts = 6;

export class FeedPublisher {
  readonly #client: RepositoryClient;
  readonly #feed: FeedSource;
  readonly #options: Required<Omit<PublishOptions, keyof Waiting>> & Waiting;
  #state: PublisherState = {
    phase: 'starting',
    history: undefined,
    acknowledged: undefined,
    resyncs: 0,
    error: undefined,
  };

  constructor(client: RepositoryClient, feed: FeedSource, options: PublishOptions) {
    this.#client = client;
    this.#feed = feed;
    const backoff = { firstMs: defaults.firstMs, maxMs: defaults.maxMs };
    const { digestsPerRequest, recheckMs } = defaults;
    this.#options = { backoff, digestsPerRequest, recheckMs, ...options };
  }

  state(): PublisherState {
    return { ...this.#state };
  }

  /** Publishes until the signal is aborted, then resolves. Whatever fails is tried again, forever; see `state`. */
  async run(): Promise<void> {
    const { signal } = this.#options;
    let failures = 0;
    while (!signal.aborted) {
      try {
        await this.#follow(() => {
          failures = 0;
        });
      } catch (error) {
        if (signal.aborted) return;
        failures += 1;
        this.#become({ phase: 'failed', error: ownError(error) });
        await this.#backOff(failures);
      }
    }
  }

  /** Sends what is missing and waits for more, until the history changes, it is time to check, or something fails. */
  async #follow(onSuccess: () => void): Promise<void> {
    const history = this.#feed.history();
    let known = await this.#startingPoint(history);
    onSuccess();
    while (this.#feed.history() === history) {
      if (this.#feed.lastSequence() > known) {
        this.#become({ phase: 'behind', error: undefined });
        const acknowledged = await this.#sendNext(history, known);
        known = acknowledged ?? (await this.#resync(history));
        await this.#acknowledged(history, known);
        onSuccess();
      } else {
        this.#become({ phase: 'level', error: undefined });
        if (!(await this.#changed(known))) return;
      }
    }
  }

  /** The position to go on from, after sending everything if the repository has none. */
  async #startingPoint(history: string): Promise<number> {
    const position = await this.#client.feedPosition({ signal: this.#options.signal });
    const usable = position?.history === history && position.sequence <= this.#feed.lastSequence();
    const known = usable ? position.sequence : await this.#resync(history);
    await this.#acknowledged(history, known);
    return known;
  }

  async #acknowledged(history: string, sequence: number): Promise<void> {
    // The number means nothing in another history, which may have begun meanwhile.
    if (this.#feed.history() !== history) return;
    await this.#feed.acknowledge(sequence);
    this.#become({ history, acknowledged: sequence });
  }

  /**
   * Sends the changes after `known`; those that fill several requests move the position with the last of them.
   *
   * @returns the sequence acknowledged now; undefined if everything must be sent instead.
   */
  async #sendNext(history: string, known: number): Promise<number | undefined> {
    const { digestsPerRequest, signal } = this.#options;
    const changes = this.#changesAfter(known);
    if (changes === undefined) return undefined;
    const { gained, lost, upTo } = changes;
    const requestMax = Math.min(limits.digestsPerRequestMax, 2 * digestsPerRequest);
    const all = [
      ...lost.map((digest) => ({ digest, lost: true })),
      ...gained.map((digest) => ({ digest, lost: false })),
    ];
    for (let at = 0; ; at += requestMax) {
      const part = all.slice(at, at + requestMax);
      const last = at + requestMax >= all.length;
      const acknowledged = await this.#client.sendChanges(
        {
          history,
          from: known,
          to: last ? upTo : known,
          gained: part.filter((change) => !change.lost).map((change) => change.digest),
          lost: part.filter((change) => change.lost).map((change) => change.digest),
        },
        { signal },
      );
      if (last || acknowledged !== known) return acknowledged;
    }
  }

  /** Undefined if the feed has forgotten them, as it does with a repository that was away for very long. */
  #changesAfter(known: number): ReturnType<FeedSource['changesAfter']> | undefined {
    try {
      return this.#feed.changesAfter(known, this.#options.digestsPerRequest);
    } catch (error) {
      if (isCovaultError(error, 'E_NOT_FOUND')) return undefined;
      throw error;
    }
  }

  /** Sends everything held at one moment; returns its sequence number. */
  async #resync(history: string): Promise<number> {
    const { digestsPerRequest, signal } = this.#options;
    this.#become({ phase: 'resync', error: undefined });
    const all = this.#feed.holdings(digestsPerRequest);
    try {
      const resync = await this.#client.beginResync({ history, sequence: all.sequence }, { signal });
      this.#become({ resyncs: this.#state.resyncs + 1 });
      let after: Digest | undefined;
      for (const digests of all.pages) {
        if (digests.length === 0) continue;
        const page = { resync, after, digests };
        await this.#patiently(() => this.#client.sendPage(page, { signal }));
        after = digests.at(-1);
      }
      return await this.#patiently(() => this.#client.finishResync(resync, { signal }));
    } finally {
      all.close();
    }
  }

  /** Tries again while the repository cannot be reached, a bounded number of times. */
  async #patiently<T>(act: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await act();
      } catch (error) {
        const passing = isCovaultError(error, 'E_UNAVAILABLE') || isCovaultError(error, 'E_BUSY');
        if (!passing || attempt >= pageAttempts || this.#options.signal.aborted) throw error;
        await this.#backOff(attempt);
      }
    }
  }

  async #backOff(failures: number): Promise<void> {
    const { backoff, random, signal, timers } = this.#options;
    await pauseQuietly(backoffMs(failures, backoff, random), signal, timers);
  }

  /** Waits for a change after `known`; false when it is time to check the position instead. */
  async #changed(known: number): Promise<boolean> {
    const { recheckMs, signal, timers } = this.#options;
    let isOver = false;
    try {
      const wait = (either: AbortSignal) => {
        either.addEventListener('abort', () => {
          isOver = !signal.aborted;
        });
        return this.#feed.changedAfter(known, { signal: either });
      };
      await withDeadline(recheckMs, signal, wait, timers);
      return true;
    } catch (error) {
      if (isOver) return false;
      throw error;
    }
  }

  #become(state: Partial<PublisherState>): void {
    this.#state = { ...this.#state, ...state };
  }
}
