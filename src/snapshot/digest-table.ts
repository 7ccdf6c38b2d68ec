/**
 * A set of digests that numbers its members 0, 1, 2 … in order of arrival, 32 bytes and one slot each: a million
 * digests take about 45 MB where a `Map` of strings takes several times that.
 */
import { type Digest, digestBytes } from '../core/digest.ts';

const firstCapacity = 64;

export class DigestTable {
  #digests = Buffer.alloc(firstCapacity * digestBytes);
  /** Open addressing with linear probing; a slot holds a number plus one, or 0 if it is free. */
  #slots = new Uint32Array(firstCapacity * 2);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** The number of `digest`, given now if it is new (then it equals the `count` before the call). Copies the digest. */
  add(digest: Digest): number {
    const slot = this.#slotOf(digest);
    const taken = this.#slots[slot] as number;
    if (taken !== 0) return taken - 1;
    const number = this.#count;
    if ((number + 1) * 2 > this.#slots.length) {
      this.#grow();
      return this.add(digest);
    }
    this.#digests.set(digest, number * digestBytes);
    this.#slots[slot] = number + 1;
    this.#count += 1;
    return number;
  }

  /** The number of `digest`, or -1. */
  find(digest: Digest): number {
    return (this.#slots[this.#slotOf(digest)] as number) - 1;
  }

  /** The digest of that number; the caller owns it. */
  at(number: number): Digest {
    return new Uint8Array(this.#digests.subarray(number * digestBytes, (number + 1) * digestBytes));
  }

  /** Four bytes of the digest of that number: equally distributed, so of use as a hash. */
  hashAt(number: number): number {
    return this.#digests.readUInt32LE(number * digestBytes + 8);
  }

  #slotOf(digest: Digest): number {
    const mask = this.#slots.length - 1;
    let slot = wordOf(digest, 0) & mask;
    for (;;) {
      const taken = this.#slots[slot] as number;
      if (taken === 0) return slot;
      const start = (taken - 1) * digestBytes;
      if (this.#digests.compare(digest, 0, digestBytes, start, start + digestBytes) === 0) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #grow(): void {
    const digests = Buffer.alloc(this.#digests.length * 2);
    digests.set(this.#digests);
    this.#digests = digests;
    this.#slots = new Uint32Array(this.#slots.length * 2);
    const mask = this.#slots.length - 1;
    for (let number = 0; number < this.#count; number++) {
      let slot = digests.readUInt32LE(number * digestBytes) & mask;
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
      this.#slots[slot] = number + 1;
    }
  }
}

function wordOf(digest: Digest, start: number): number {
  return (
    ((digest[start] as number) |
      ((digest[start + 1] as number) << 8) |
      ((digest[start + 2] as number) << 16) |
      ((digest[start + 3] as number) << 24)) >>>
    0
  );
}
