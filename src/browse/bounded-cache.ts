/**
 * A cache with a bound in bytes, least recently used first out; loads that are under way are shared. The few values
 * used last are held even if they are heavier than the bound: each use of them would otherwise load them again.
 *
 * Values stay usable after they were dropped: dropping only ends the cache's own reference.
 */

/** Values held whatever they weigh: a directory, those above it, and one for another reader. */
const heldMin = 4;

export interface Weighed<Value> {
  value: Value;
  /** Bytes that `value` keeps alive, about. */
  bytes: number;
}

export class BoundedCache<Value> {
  readonly #bytesMax: number;
  /** In order of use: the first is the next to go. */
  readonly #held = new Map<string, Weighed<Value>>();
  readonly #loading = new Map<string, Promise<Value>>();
  #bytes = 0;

  constructor(options: { bytesMax: number }) {
    this.#bytesMax = options.bytesMax;
  }

  /** Bytes held, loads under way not counted. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The value if it is held; counts as a use. */
  peek(key: string): Value | undefined {
    const item = this.#held.get(key);
    if (item === undefined) return undefined;
    this.#held.delete(key);
    this.#held.set(key, item);
    return item.value;
  }

  /** Whether the value is held or being loaded; does not count as a use. */
  has(key: string): boolean {
    return this.#held.has(key) || this.#loading.has(key);
  }

  /**
   * The value of `key`, from `load` if it is not held. A failed load is not remembered: the next call loads again.
   */
  async get(key: string, load: () => Promise<Weighed<Value>>): Promise<Value> {
    const held = this.peek(key);
    if (held !== undefined) return held;
    const underWay = this.#loading.get(key);
    if (underWay !== undefined) return underWay;
    const loading = this.#load(key, load);
    this.#loading.set(key, loading);
    return loading;
  }

  async #load(key: string, load: () => Promise<Weighed<Value>>): Promise<Value> {
    try {
      const item = await load();
      this.#keep(key, item);
      return item.value;
    } finally {
      this.#loading.delete(key);
    }
  }

  #keep(key: string, item: Weighed<Value>): void {
    this.#held.set(key, item);
    this.#bytes += item.bytes;
    for (const [oldest, { bytes }] of this.#held) {
      if (this.#bytes <= this.#bytesMax || this.#held.size <= heldMin) break;
      this.#held.delete(oldest);
      this.#bytes -= bytes;
    }
  }
}
