/**
 * Where entries of one kind are, by digest: a hash table in plain memory for many millions of them.
 *
 * Rows of 48 bytes stand in order of arrival in slabs; an open-addressing table of 32-bit row numbers (linear probing,
 * at most three quarters full) finds them. That is 53 to 59 bytes per entry, and growing never moves rows. The first
 * bytes of a digest serve as hash: digests are keyed, so nobody outside the domain can choose them to collide.
 */
import { type Digest, digestBytes } from '../core/digest.ts';
import { invariant } from '../core/errors.ts';

/** Where an entry is. */
export interface Place {
  /** Number of the pack (`pack-list.ts`). */
  pack: number;
  offset: number;
  storedBytes: number;
  rawBytes: number;
  compressed: boolean;
  /** Complete: everything it refers to is in the store as well. Always true for a block. */
  complete: boolean;
}

const rowBytes = 48;
const rowsPerSlab = 8192;
const slotsMin = 1024;
const compressedBit = 0x8000_0000;
const completeBit = 0x4000_0000;
const rawMask = 0x3fff_ffff;

/** Rows are numbered from 0 in order of arrival; a number stays valid, and no row is ever removed. */
export class EntryTable {
  readonly #slabs: Buffer[] = [];
  /** Row number + 1, or 0 for a free slot; the length is a power of two. */
  #slots = new Uint32Array(slotsMin);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Bytes of memory in use. */
  get memoryBytes(): number {
    return this.#slabs.length * rowsPerSlab * rowBytes + this.#slots.byteLength;
  }

  /** Number of the row of `digest`, or -1. */
  find(digest: Digest): number {
    return (this.#slots[this.#slotOf(digest)] ?? 0) - 1;
  }

  /** Adds `digest` if it is new, else leaves its place as it is; its row number. */
  add(digest: Digest, place: Place): number {
    let slot = this.#slotOf(digest);
    const found = this.#slots[slot] ?? 0;
    if (found > 0) return found - 1;
    if ((this.#size + 1) * 4 > this.#slots.length * 3) {
      this.#resize(this.#slots.length * 2);
      slot = this.#slotOf(digest);
    }
    const row = this.#size++;
    if (row % rowsPerSlab === 0) this.#slabs.push(Buffer.alloc(rowsPerSlab * rowBytes));
    const { slab, at } = this.#locate(row);
    slab.set(digest, at);
    this.replace(row, place);
    this.#slots[slot] = row + 1;
    return row;
  }

  place(row: number): Place {
    const { slab, at } = this.#locate(row);
    const last = slab.readUInt32LE(at + 44);
    return {
      pack: slab.readUInt32LE(at + 32),
      offset: slab.readUInt32LE(at + 36),
      storedBytes: slab.readUInt32LE(at + 40),
      rawBytes: last & rawMask,
      compressed: (last & compressedBit) !== 0,
      complete: (last & completeBit) !== 0,
    };
  }

  /** Number of the pack alone, for tests that run often. */
  packOf(row: number): number {
    const { slab, at } = this.#locate(row);
    return slab.readUInt32LE(at + 32);
  }

  isComplete(row: number): boolean {
    const { slab, at } = this.#locate(row);
    return (slab.readUInt32LE(at + 44) & completeBit) !== 0;
  }

  setComplete(row: number): void {
    const { slab, at } = this.#locate(row);
    slab.writeUInt32LE((slab.readUInt32LE(at + 44) | completeBit) >>> 0, at + 44);
  }

  /** Says that an entry is now to be read from another place. */
  replace(row: number, place: Place): void {
    invariant(place.rawBytes <= rawMask, 'an entry has at most 2^30 - 1 bytes');
    const { slab, at } = this.#locate(row);
    slab.writeUInt32LE(place.pack, at + 32);
    slab.writeUInt32LE(place.offset, at + 36);
    slab.writeUInt32LE(place.storedBytes, at + 40);
    const flags = (place.compressed ? compressedBit : 0) | (place.complete ? completeBit : 0);
    slab.writeUInt32LE((place.rawBytes | flags) >>> 0, at + 44);
  }

  /** The digest of a row, a copy. */
  digest(row: number): Digest {
    const { slab, at } = this.#locate(row);
    return new Uint8Array(slab.subarray(at, at + digestBytes));
  }

  #locate(row: number): { slab: Buffer; at: number } {
    const slab = this.#slabs[Math.floor(row / rowsPerSlab)];
    invariant(slab && row < this.#size, 'row numbers come from this table');
    return { slab, at: (row % rowsPerSlab) * rowBytes };
  }

  /** The slot that holds `digest`, or the free one where it would go. */
  #slotOf(digest: Digest): number {
    const mask = this.#slots.length - 1;
    const hash = hashOf(digest, 0);
    let slot = hash & mask;
    for (;;) {
      const found = this.#slots[slot] ?? 0;
      if (found === 0) return slot;
      const { slab, at } = this.#locate(found - 1);
      // Most that stand in the way differ here already, which is much cheaper to see.
      if (hashOf(slab, at) === hash && slab.compare(digest, 0, digestBytes, at, at + digestBytes) === 0) return slot;
      slot = (slot + 1) & mask;
    }
  }

  /** Makes room for `count` more rows at once, instead of in steps that each move all slots. */
  reserve(count: number): void {
    let length = this.#slots.length;
    while ((this.#size + count) * 4 > length * 3) length *= 2;
    if (length > this.#slots.length) this.#resize(length);
  }

  #resize(length: number): void {
    const slots = new Uint32Array(length);
    const mask = slots.length - 1;
    for (let row = 0; row < this.#size; row++) {
      const { slab, at } = this.#locate(row);
      let slot = hashOf(slab, at) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = row + 1;
    }
    this.#slots = slots;
  }
}

function hashOf(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24)) >>> 0
  );
}

/** A set of row numbers: one bit each. */
export class RowSet {
  #bits = new Uint8Array(1024);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(row: number): boolean {
    return ((this.#bits[row >> 3] ?? 0) & (1 << (row & 7))) !== 0;
  }

  /** Whether the row is new in this set. */
  add(row: number): boolean {
    if (this.has(row)) return false;
    if (row >> 3 >= this.#bits.length) {
      const bits = new Uint8Array(Math.max(this.#bits.length * 2, (row >> 3) + 1));
      bits.set(this.#bits);
      this.#bits = bits;
    }
    this.#bits[row >> 3] = (this.#bits[row >> 3] ?? 0) | (1 << (row & 7));
    this.#size++;
    return true;
  }

  /** The rows in ascending order. */
  *rows(): Generator<number> {
    for (const [position, bits] of this.#bits.entries()) {
      for (let bit = 0; bits >> bit !== 0; bit++) if ((bits >> bit) & 1) yield position * 8 + bit;
    }
  }
}
