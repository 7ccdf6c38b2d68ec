/** A window over an open file that moves forward, with what the file system and the bytes tell of zeros. */
import { readSync } from 'node:fs';
import { nextDataRange } from '../fs/native.ts';

/** Largest read, in bytes. */
const readBytesMax = 1024 * 1024;

/** What is read: a file as it is, or as it was at a cut. */
export interface ContentFile {
  /** Fills `into` from `at` with up to `length` bytes from `position` of the file; none only at its end. */
  read(into: Uint8Array, at: number, length: number, position: number): number;
  /** The first range that is no hole at or after `position`, if there is one. */
  nextData(position: number): { start: number; end: number } | undefined;
}

/** An open file as it is now. */
export function presentContent(fd: number): ContentFile {
  return {
    read: (into, at, length, position) => readSync(fd, into, at, length, position),
    nextData: (position) => nextDataRange(fd, position),
  };
}

export class ContentReader {
  readonly #file: ContentFile;
  readonly #unit: number;
  readonly #zeros: Buffer;
  #buffer: Buffer;
  /** Offset in the file of the first byte of the window, and how many bytes of it are filled. */
  #base = 0;
  #filled = 0;
  #size: number;
  /** The next range that is no hole of the file system, as last asked. */
  #data = { start: 0, end: 0 };

  /**
   * @param buffer memory for the window, reused and, if it is too small, replaced (`buffer`).
   * @param unit bytes; zeros count by whole units.
   */
  constructor(file: ContentFile, options: { size: number; unit: number; buffer: Buffer; zeros: Buffer }) {
    this.#file = file;
    this.#size = options.size;
    this.#unit = options.unit;
    this.#buffer = options.buffer;
    this.#zeros = options.zeros;
  }

  /** Bytes of the file; less than first said if it turned out to be shorter. */
  get size(): number {
    return this.#size;
  }

  get buffer(): Buffer {
    return this.#buffer;
  }

  /** The bytes from `from` to `to` or the end of the file, valid until the next call. Both must not go back. */
  bytes(from: number, to: number): Buffer {
    this.#moveTo(from);
    const wanted = Math.min(to, this.#size) - this.#base;
    if (wanted > this.#buffer.byteLength) this.#grow(wanted);
    while (this.#filled < wanted) {
      const length = Math.min(readBytesMax, wanted - this.#filled);
      const count = this.#file.read(this.#buffer, this.#filled, length, this.#base + this.#filled);
      if (count === 0) this.#size = this.#base + this.#filled;
      if (count === 0) break;
      this.#filled += count;
    }
    return this.#buffer.subarray(0, Math.max(0, Math.min(wanted, this.#filled)));
  }

  /** Where the hole ends in which `position` is (down to whole units); `position` if it is in none. Reads nothing. */
  holeEnd(position: number): number {
    // A file that is read in one go is not worth the question.
    if (this.#size <= readBytesMax) return position;
    if (position >= this.#data.end) {
      this.#data = this.#file.nextData(position) ?? { start: this.#size, end: this.#size };
    }
    if (this.#data.start >= this.#size) return this.#size;
    return Math.max(position, Math.floor(this.#data.start / this.#unit) * this.#unit);
  }

  /** Whether the unit at the start of `bytes` (at most one unit, at least one byte) is all zeros. */
  isZero(bytes: Buffer): boolean {
    if (bytes[0] !== 0) return false;
    return bytes.equals(this.#zeros.subarray(0, bytes.byteLength));
  }

  #moveTo(from: number): void {
    const skip = from - this.#base;
    if (skip === 0) return;
    if (skip < this.#filled) {
      this.#buffer.copyWithin(0, skip, this.#filled);
      this.#filled -= skip;
    } else {
      this.#filled = 0;
    }
    this.#base = from;
  }

  #grow(bytes: number): void {
    const grown = Buffer.allocUnsafeSlow(bytes);
    this.#buffer.copy(grown, 0, 0, this.#filled);
    this.#buffer = grown;
  }
}
