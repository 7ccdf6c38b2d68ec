/** One run of a program on a simulated machine: when it is killed, nothing of it goes on. */
import type { Timers } from '../../src/core/timers.ts';
import type { VirtualTime } from '../snapshot/virtual-time.ts';

export class SimProcess implements Timers {
  readonly #time: VirtualTime;
  readonly #cancels = new Set<() => void>();
  readonly #onKill = new Set<() => void>();
  #isAlive = true;

  constructor(time: VirtualTime) {
    this.#time = time;
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  after(ms: number, run: () => void): () => void {
    if (!this.#isAlive) return () => undefined;
    const stop = () => {
      this.#cancels.delete(stop);
      cancel();
    };
    const cancel = this.#time.after(ms, () => {
      this.#cancels.delete(stop);
      run();
    });
    this.#cancels.add(stop);
    return stop;
  }

  /** `promise` as this process sees it: never settled once it is dead. */
  guard<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      promise.then(
        (value) => {
          if (this.#isAlive) resolve(value);
        },
        (error) => {
          if (this.#isAlive) reject(error);
        },
      );
    });
  }

  /** Waits, as a disk does; never resolves once the process is dead. */
  work(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(ms, resolve);
    });
  }

  /** Calls `run` when the process is killed; returns what forgets it. */
  onKill(run: () => void): () => void {
    this.#onKill.add(run);
    return () => this.#onKill.delete(run);
  }

  kill(): void {
    if (!this.#isAlive) return;
    this.#isAlive = false;
    for (const cancel of [...this.#cancels]) cancel();
    for (const run of [...this.#onKill]) run();
    this.#onKill.clear();
  }
}
