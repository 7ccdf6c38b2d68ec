/** Since when each secondary makes a copy of this very client: its rounds, each with a cut of its own, count as one. */
import type { Clock } from '../core/clock.ts';
import type { Guest } from './serving-gate.ts';

/** Rounds that are less than this apart belong to one snapshot, milliseconds. */
const roundGapMs = 5 * 60_000;

export class SourceGuests {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #holds: (name: string) => boolean;
  readonly #known = new Map<string, { sinceMs: number; seenMs: number }>();

  /** @param holds whether a member has a cut open. */
  constructor(clock: Pick<Clock, 'monotonicMs'>, holds: (name: string) => boolean) {
    this.#clock = clock;
    this.#holds = holds;
  }

  guest(name: string): Guest {
    const nowMs = this.#clock.monotonicMs();
    const known = this.#known.get(name);
    if (!this.#holds(name)) {
      if (known !== undefined && nowMs - known.seenMs > roundGapMs) this.#known.delete(name);
      return { name, cutOpenMs: undefined };
    }
    const sinceMs = known !== undefined && nowMs - known.seenMs <= roundGapMs ? known.sinceMs : nowMs;
    this.#known.set(name, { sinceMs, seenMs: nowMs });
    return { name, cutOpenMs: nowMs - sinceMs };
  }
}
