/**
 * A set of digests that numbers its members 0, 1, 2 … in order of arrival, 32 bytes and two slots each: a million
 * digests take about 45 MB where a `Map` of strings takes several times that.
 */
import { randomBytesOf } from '../core/clock.ts';
import { type Digest, digestBytes } from '../core/digest.ts';
import { mix } from './holder-sets.ts';

const firstCapacity = 64;
const words = digestBytes / 4;

export class DigestTable {
  /** `words` for each digest. */
  #digests = new Uint32Array(firstCapacity * words);
  /** Open addressing with linear probing; a slot holds a number plus one, or 0 if it is free. */
  #slots = new Uint32Array(firstCapacity * 2);
  #count = 0;
  /** Digests come from peers, who must not be able to choose such as fall on the same slots. */
  readonly #seed = Buffer.from(randomBytesOf(4)).readUInt32LE();
  readonly #scratch = new Uint32Array(words);

  get count(): number {
    return this.#count;
  }

  /** The number of `digest`, given now if it is new (then it equals the `count` before the call). Copies the digest. */
  add(digest: Digest): number {
    if ((this.#count + 1) * 2 > this.#slots.length) this.#grow();
    this.#load(digest);
    const slot = this.#slotOfScratch();
    const taken = this.#slots[slot] as number;
    if (taken !== 0) return taken - 1;
    const number = this.#count;
    this.#digests.set(this.#scratch, number * words);
    this.#slots[slot] = number + 1;
    this.#count += 1;
    return number;
  }

  /** The number of `digest`, or -1. */
  find(digest: Digest): number {
    this.#load(digest);
    return (this.#slots[this.#slotOfScratch()] as number) - 1;
  }

  /** The digest of that number; the caller owns it. */
  at(number: number): Digest {
    const digest = Buffer.allocUnsafeSlow(digestBytes);
    for (let word = 0; word < words; word++) {
      digest.writeUInt32LE(this.#digests[number * words + word] as number, word * 4);
    }
    return digest;
  }

  /** Four bytes of the digest of that number: equally distributed, so of use as a hash. */
  hashAt(number: number): number {
    return this.#digests[number * words] as number;
  }

  #load(digest: Digest): void {
    for (let word = 0; word < words; word++) {
      const at = word * 4;
      this.#scratch[word] =
        (digest[at] as number) |
        ((digest[at + 1] as number) << 8) |
        ((digest[at + 2] as number) << 16) |
        ((digest[at + 3] as number) << 24);
    }
  }

  #slotOfScratch(): number {
    const mask = this.#slots.length - 1;
    let slot = this.#hash(this.#scratch, 0) & mask;
    for (;;) {
      const taken = this.#slots[slot] as number;
      if (taken === 0 || this.#isScratch(taken - 1)) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #isScratch(number: number): boolean {
    const start = number * words;
    for (let word = 0; word < words; word++) {
      if (this.#digests[start + word] !== this.#scratch[word]) return false;
    }
    return true;
  }

  #hash(from: Uint32Array, start: number): number {
    let hash = this.#seed;
    for (let word = 0; word < words; word++) hash = mix(hash ^ (from[start + word] as number));
    return hash;
  }

  #grow(): void {
    const digests = new Uint32Array(this.#digests.length * 2);
    digests.set(this.#digests);
    this.#digests = digests;
    this.#slots = new Uint32Array(this.#slots.length * 2);
    const mask = this.#slots.length - 1;
    for (let number = 0; number < this.#count; number++) {
      let slot = this.#hash(digests, number * words) & mask;
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
      this.#slots[slot] = number + 1;
    }
  }
}
