/** Time that passes only when everybody waits for it: a test of hours takes milliseconds, and always goes the same way. */
import { setImmediate as afterMicrotasks } from 'node:timers/promises';
import type { Clock } from '../../src/core/clock.ts';
import type { Timers } from '../../src/core/timers.ts';

/** Of a test that goes round in circles. */
const turnsMax = 500_000;

/** Of a coarse clock, milliseconds. */
const msPerReading = 0.4;
const earlyMs = 1;

export class VirtualTime implements Clock, Timers {
  #nowMs = 0;
  #nextNumber = 0;
  readonly #isCoarse: boolean;
  readonly #waiting: { atMs: number; number: number; run: () => void }[] = [];

  /** @param options.isCoarse each reading of the clock takes time, and timers go off early, as those of Node.js may. */
  constructor(options: { isCoarse?: boolean } = {}) {
    this.#isCoarse = options.isCoarse ?? false;
  }

  nowMs(): number {
    return 1_700_000_000_000 + Math.floor(this.#nowMs);
  }

  monotonicMs(): number {
    if (this.#isCoarse) this.#nowMs += msPerReading;
    return this.#nowMs;
  }

  after(ms: number, run: () => void): () => void {
    const timer = { atMs: this.#nowMs + Math.max(0, ms), number: this.#nextNumber++, run };
    let index = this.#waiting.length;
    while (index > 0 && (this.#waiting[index - 1]?.atMs ?? 0) > timer.atMs) index -= 1;
    this.#waiting.splice(index, 0, timer);
    return () => {
      const at = this.#waiting.indexOf(timer);
      if (at >= 0) this.#waiting.splice(at, 1);
    };
  }

  /** Lets time pass until `work` is settled; fails if it takes longer than `msMax` of virtual time. */
  async run<T>(work: Promise<T>, msMax: number): Promise<T> {
    let settled = false;
    const mark = () => {
      settled = true;
    };
    work.then(mark, mark);
    for (let turn = 0; ; turn++) {
      if (turn > turnsMax) throw new Error(`no end in sight after ${turnsMax} turns, at ${this.#nowMs} ms`);
      await afterMicrotasks();
      if (settled) return work;
      const next = this.#waiting.shift();
      if (next === undefined) throw new Error(`everybody waits for something that never comes, at ${this.#nowMs} ms`);
      if (next.atMs > msMax) throw new Error(`not done after ${msMax} ms`);
      this.#nowMs = Math.max(this.#nowMs, this.#isCoarse ? next.atMs - earlyMs : next.atMs);
      next.run();
    }
  }

  /** Timers that are still to go off. */
  get timerCount(): number {
    return this.#waiting.length;
  }
}
