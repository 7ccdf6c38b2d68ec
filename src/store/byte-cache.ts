/** Decoded blocks and objects that were used last, bounded in bytes. */
export class ByteCache {
  readonly #bytesMax: number;
  /** In order of use, the oldest first. */
  readonly #items = new Map<string, Uint8Array>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  has(key: string): boolean {
    return this.#items.has(key);
  }

  /** The cached bytes themselves: not to be changed or given away. */
  get(key: string): Uint8Array | undefined {
    const found = this.#items.get(key);
    if (!found) return undefined;
    this.#items.delete(key);
    this.#items.set(key, found);
    return found;
  }

  /** Takes over `bytes`, unless they are more than a quarter of the whole: those would drive out everything else. */
  set(key: string, bytes: Uint8Array): void {
    if (bytes.byteLength * 4 > this.#bytesMax) return;
    this.#bytes += bytes.byteLength - (this.#items.get(key)?.byteLength ?? 0);
    this.#items.delete(key);
    this.#items.set(key, bytes);
    for (const [oldest, { byteLength }] of this.#items) {
      if (this.#bytes <= this.#bytesMax) return;
      this.#items.delete(oldest);
      this.#bytes -= byteLength;
    }
  }
}
