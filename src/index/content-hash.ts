/**
 * From the bytes of a file to its segments: where the holes are, where the blocks end, their digests. Synchronous, for
 * a worker thread. What segments a content has is defined in `docs/design/index.md` ("Segments").
 */
import type { Digester } from '../core/digest.ts';
import type { CutParameters } from '../core/domain.ts';
import { cutBlocks } from '../fs/native.ts';
import { type ContentFile, ContentReader } from './content-reader.ts';
import type { Kept, Recut } from './recut.ts';

/** Segments in order: old ones that stand, or new ones. */
export type Piece = Kept | NewSegments;

export interface NewSegments {
  /** Signed: a block's length is positive, a hole's negative. */
  lengths: number[];
  /** The digests of the blocks, one after the other. */
  digests: Uint8Array;
}

export interface HashedContent {
  /** Bytes of the file as it was read. */
  size: number;
  pieces: Piece[];
  /** Bytes of the blocks that were hashed. */
  bytesHashed: number;
}

/** What a worker keeps from file to file. */
export interface HashTools {
  digester: Digester;
  cut: CutParameters;
  /** Window over the file; replaced when it grows. */
  buffer: Buffer;
  /** `cut.minBytes` zeros. */
  zeros: Buffer;
  /** Throws if the work shall end. */
  checkStopped(): void;
}

/** Bytes read ahead of the cutter when a whole file is hashed. */
const windowBytes = 4 * 1024 * 1024;

/**
 * @param recut what of an earlier content may stand; undefined: the whole file is hashed.
 * @throws what reading throws, and what `tools.checkStopped` throws.
 */
export function hashContent(
  file: ContentFile,
  size: number,
  recut: Recut | undefined,
  tools: HashTools,
): HashedContent {
  return new ContentHash(file, size, recut, tools).run();
}

class ContentHash {
  readonly #reader: ContentReader;
  readonly #recut: Recut | undefined;
  readonly #tools: HashTools;
  readonly #unit: number;
  readonly #pieces: Piece[] = [];
  #lengths: number[] = [];
  #digests: Uint8Array[] = [];
  #bytesHashed = 0;

  constructor(file: ContentFile, size: number, recut: Recut | undefined, tools: HashTools) {
    this.#unit = tools.cut.minBytes;
    this.#reader = new ContentReader(file, { size, unit: this.#unit, buffer: tools.buffer, zeros: tools.zeros });
    this.#recut = recut;
    this.#tools = tools;
  }

  run(): HashedContent {
    let position = this.#recut ? this.#follow(this.#recut.start()) : 0;
    while (position !== undefined && position < this.#reader.size) {
      this.#tools.checkStopped();
      const end = this.#hole(position);
      position = end > position ? this.#after(end) : this.#blocks(position);
    }
    this.#closePiece();
    this.#tools.buffer = this.#reader.buffer;
    return { size: this.#reader.size, pieces: this.#pieces, bytesHashed: this.#bytesHashed };
  }

  /** Adds the hole at `position`, if there is one; gives its end. */
  #hole(position: number): number {
    // Only a block that goes on within a unit begins elsewhere, and such a unit is not all zeros.
    if (position % this.#unit !== 0) return position;
    let end = position;
    for (let more = true; more; ) {
      this.#tools.checkStopped();
      const known = Math.max(this.#recut?.knownZeroEnd(end) ?? end, this.#reader.holeEnd(end));
      const zeroEnd = known > end ? known : end + this.#leadingZeros(this.#reader.bytes(end, this.#readTo(end)));
      more = zeroEnd > end && zeroEnd < this.#reader.size;
      end = zeroEnd;
    }
    end = Math.min(end, this.#reader.size);
    if (end > position) this.#lengths.push(position - end);
    return end;
  }

  /** Bytes of whole units of zeros at the start of `bytes`; the last unit of a file may be shorter. */
  #leadingZeros(bytes: Buffer): number {
    let at = 0;
    while (at < bytes.byteLength) {
      const unit = bytes.subarray(at, at + this.#unit);
      // A unit cut off by the window is looked at in the next; the first of a window is never cut off but by the end.
      if ((unit.byteLength < this.#unit && at > 0) || !this.#reader.isZero(unit)) break;
      at += unit.byteLength;
    }
    return at;
  }

  /** Adds blocks from `position`, which is not in a hole; gives where to go on. */
  #blocks(position: number): number | undefined {
    const { cut } = this.#tools;
    for (let to = this.#readTo(position); ; to += cut.normalBytes) {
      const bytes = this.#reader.bytes(position, to);
      const { length, last } = this.#dataLength(position, bytes);
      const lengths = length === 0 ? [] : cutBlocks(bytes.subarray(0, length), cut, last);
      if (lengths.length > 0) return this.#digestBlocks(position, bytes, lengths);
      if (position + bytes.byteLength >= this.#reader.size) return undefined;
    }
  }

  #digestBlocks(position: number, bytes: Buffer, lengths: Iterable<number>): number | undefined {
    let at = 0;
    for (const length of lengths) {
      this.#digests.push(this.#tools.digester.digest(bytes.subarray(at, at + length)));
      this.#lengths.push(length);
      this.#bytesHashed += length;
      at += length;
      const resumed = this.#recut?.resumeAt(position + at);
      if (resumed) return this.#follow(resumed);
    }
    return position + at;
  }

  /** How many of `bytes` belong to the run of data at `position`, as far as whole units tell, and whether it ends there. */
  #dataLength(position: number, bytes: Buffer): { length: number; last: boolean } {
    const atEnd = position + bytes.byteLength >= this.#reader.size;
    // The first unit is no hole: it was looked at, or the block before reaches into it.
    let at = this.#unit - (position % this.#unit);
    while (at < bytes.byteLength) {
      const unit = bytes.subarray(at, at + this.#unit);
      if (unit.byteLength < this.#unit && !atEnd) break;
      if (this.#reader.isZero(unit)) return { length: at, last: true };
      at += unit.byteLength;
    }
    if (atEnd) return { length: bytes.byteLength, last: true };
    return { length: Math.min(at, bytes.byteLength), last: false };
  }

  /** How far to read so as to find the end of what begins at `position`. */
  #readTo(position: number): number {
    if (!this.#recut) return position + windowBytes;
    return Math.max(this.#recut.likelyEnd(position), position + this.#unit);
  }

  #after(position: number): number | undefined {
    const resumed = this.#recut?.resumeAt(position);
    return resumed ? this.#follow(resumed) : position;
  }

  #follow({ kept, cutFrom }: { kept: Kept | undefined; cutFrom: number | undefined }): number | undefined {
    if (kept) {
      this.#closePiece();
      this.#pieces.push(kept);
    }
    return cutFrom;
  }

  #closePiece(): void {
    if (this.#lengths.length === 0) return;
    this.#pieces.push({ lengths: this.#lengths, digests: new Uint8Array(Buffer.concat(this.#digests)) });
    this.#lengths = [];
    this.#digests = [];
  }
}
