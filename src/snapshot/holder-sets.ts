/**
 * Interned sets of peers. Peers and sets are small numbers; a set is a row of bits in one array, kept once however
 * many blocks have it. Taking a peer out of a block's set is a change of that block's number, no memory per block.
 */

/** The set with nobody in it. */
export const nobody = 0;

export class HolderSets {
  readonly #names: string[] = [];
  readonly #numbers = new Map<string, number>();
  #wordsPerSet = 1;
  #bits = new Uint32Array(16);
  #setCount = 1;
  /** Open addressing; a slot holds a set's number plus one, or 0 if it is free. Set 0 is never in it. */
  #slots = new Uint32Array(32);
  #scratch = new Uint32Array(1);

  get peerCount(): number {
    return this.#names.length;
  }

  get setCount(): number {
    return this.#setCount;
  }

  /** 32-bit words of a set's row in `bits`. */
  get wordsPerSet(): number {
    return this.#wordsPerSet;
  }

  /** Row `set` starts at `set * wordsPerSet`; peer p is bit `p & 31` of word `p >>> 5`. Valid until the next change. */
  get bits(): Uint32Array {
    return this.#bits;
  }

  names(): readonly string[] {
    return this.#names;
  }

  nameOf(peer: number): string {
    return this.#names[peer] as string;
  }

  /** The number of the peer of that name, given now if it is new. */
  peer(name: string): number {
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    const number = this.#names.length;
    this.#names.push(name);
    this.#numbers.set(name, number);
    if (number >= this.#wordsPerSet * 32) this.#widen();
    return number;
  }

  /** The number of the set with exactly these peers, in any order. */
  intern(peers: readonly number[]): number {
    if (peers.length === 0) return nobody;
    this.#scratch.fill(0);
    for (const peer of peers) {
      const word = peer >>> 5;
      this.#scratch[word] = ((this.#scratch[word] as number) | (1 << (peer & 31))) >>> 0;
    }
    return this.#internScratch();
  }

  /** The number of `set` without `peer`. */
  without(set: number, peer: number): number {
    if (!this.has(set, peer)) return set;
    const start = set * this.#wordsPerSet;
    this.#scratch.set(this.#bits.subarray(start, start + this.#wordsPerSet));
    const word = peer >>> 5;
    this.#scratch[word] = ((this.#scratch[word] as number) & ~(1 << (peer & 31))) >>> 0;
    return this.#scratch.every((bits) => bits === 0) ? nobody : this.#internScratch();
  }

  has(set: number, peer: number): boolean {
    const word = this.#bits[set * this.#wordsPerSet + (peer >>> 5)] as number;
    return (word & (1 << (peer & 31))) !== 0;
  }

  /** The peers of `set`, ascending. */
  peersOf(set: number): number[] {
    const peers: number[] = [];
    for (let word = 0; word < this.#wordsPerSet; word++) {
      let bits = this.#bits[set * this.#wordsPerSet + word] as number;
      while (bits !== 0) {
        const bit = 31 - Math.clz32(bits & -bits);
        peers.push(word * 32 + bit);
        bits &= bits - 1;
      }
    }
    return peers;
  }

  #internScratch(): number {
    const slot = this.#slotOfScratch();
    const taken = this.#slots[slot] as number;
    if (taken !== 0) return taken - 1;
    if ((this.#setCount + 1) * 2 > this.#slots.length) {
      this.#slots = new Uint32Array(this.#slots.length * 2);
      this.#rehash();
      return this.#internScratch();
    }
    const set = this.#setCount;
    const start = set * this.#wordsPerSet;
    if (start + this.#wordsPerSet > this.#bits.length) {
      const bits = new Uint32Array(this.#bits.length * 2);
      bits.set(this.#bits);
      this.#bits = bits;
    }
    this.#bits.set(this.#scratch, start);
    this.#slots[slot] = set + 1;
    this.#setCount += 1;
    return set;
  }

  #slotOfScratch(): number {
    const mask = this.#slots.length - 1;
    const words = this.#wordsPerSet;
    let slot = hashWords(this.#scratch, 0, words) & mask;
    for (;;) {
      const taken = this.#slots[slot] as number;
      if (taken === 0) return slot;
      const start = (taken - 1) * words;
      let word = 0;
      while (word < words && this.#bits[start + word] === this.#scratch[word]) word += 1;
      if (word === words) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #rehash(): void {
    const mask = this.#slots.length - 1;
    for (let set = 1; set < this.#setCount; set++) {
      let slot = hashWords(this.#bits, set * this.#wordsPerSet, this.#wordsPerSet) & mask;
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
      this.#slots[slot] = set + 1;
    }
  }

  /** Doubles the width of every row. */
  #widen(): void {
    const before = this.#wordsPerSet;
    const bits = new Uint32Array(this.#bits.length * 2);
    for (let set = 0; set < this.#setCount; set++) {
      bits.set(this.#bits.subarray(set * before, (set + 1) * before), set * before * 2);
    }
    this.#wordsPerSet = before * 2;
    this.#bits = bits;
    this.#scratch = new Uint32Array(this.#wordsPerSet);
    this.#slots.fill(0);
    this.#rehash();
  }
}

function hashWords(words: Uint32Array, start: number, count: number): number {
  let hash = 0;
  for (let word = 0; word < count; word++) hash = mix(hash ^ (words[start + word] as number));
  return hash;
}

/** Spreads 32 bits over 32 bits (the finishing step of MurmurHash3). */
export function mix(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** 32 bits that stand for a name, equal on every machine. */
export function hashName(name: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(name)) hash = mix(Math.imul(hash, 31) ^ byte);
  return hash;
}
