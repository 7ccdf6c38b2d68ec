/** Keeps a member's lease alive, so that others are sent to it. */
import { type Clock, systemClock } from '../core/clock.ts';
import type { CovaultError } from '../core/errors.ts';
import { type Backoff, backoffMs, pauseQuietly, type Waiting } from './backoff.ts';
import { ownError } from './connection-error.ts';
import type { RepositoryClient } from './repository-client.ts';
import type { LeaseRequest } from './repository-messages.ts';
import type { RevokedCertificates } from './revocation.ts';

/** What `status` shows of the lease. */
export interface LeaseState {
  /** Whether the repository takes this member for live. */
  live: boolean;
  /** When the lease was renewed last, milliseconds since 1970; undefined if it never was. */
  renewedMs: number | undefined;
  /** Why the last attempt failed; undefined once one succeeded. */
  error: CovaultError | undefined;
}

export interface LeaseOptions extends Waiting {
  signal: AbortSignal;
  /** What to tell the repository; asked at every renewal. */
  lease(): LeaseRequest;
  /** Kept up to date with what the repository says. */
  revoked?: RevokedCertificates;
  backoff?: Backoff;
  clock?: Clock;
}

const defaultBackoff: Backoff = { firstMs: 500, maxMs: 10_000 };
/** A lease is renewed after this part of its time, so that two renewals may fail before it runs out. */
const renewalPart = 1 / 3;

export class LeaseRenewal {
  readonly #client: RepositoryClient;
  readonly #options: LeaseOptions;
  readonly #clock: Clock;
  #renewedMs: number | undefined;
  /** On the clock that never goes back. */
  #untilMs = Number.NEGATIVE_INFINITY;
  #error: CovaultError | undefined;

  constructor(client: RepositoryClient, options: LeaseOptions) {
    this.#client = client;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  state(): LeaseState {
    return { live: this.#clock.monotonicMs() < this.#untilMs, renewedMs: this.#renewedMs, error: this.#error };
  }

  /** Renews until the signal is aborted, then resolves. Whatever fails is tried again, forever; see `state`. */
  async run(): Promise<void> {
    const { signal, backoff = defaultBackoff, timers, random } = this.#options;
    let failures = 0;
    while (!signal.aborted) {
      try {
        const ttlMs = await this.#renew();
        failures = 0;
        await pauseQuietly(ttlMs * renewalPart, signal, timers);
      } catch (error) {
        if (signal.aborted) return;
        failures += 1;
        this.#error = ownError(error);
        await pauseQuietly(backoffMs(failures, backoff, random), signal, timers);
      }
    }
  }

  /** Returns how long the lease lasts, milliseconds. */
  async #renew(): Promise<number> {
    const askedMs = this.#clock.monotonicMs();
    const { lease, revoked: known, signal } = this.#options;
    const request = { ...lease(), revokedFrom: known?.upTo ?? 0 };
    const { ttlMs, revoked } = await this.#client.renewLease(request, { signal });
    known?.add(revoked);
    this.#renewedMs = this.#clock.nowMs();
    this.#untilMs = askedMs + ttlMs;
    this.#error = undefined;
    return ttlMs;
  }
}
