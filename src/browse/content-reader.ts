/**
 * Bytes of files: recipe to blocks to bytes, with a bounded cache of blocks and read-ahead for sequential readers.
 *
 * Blocks are read ahead in the order of the recipe, which is the order in which a store packed them.
 */
import { type Digest, digestHex, digestKey } from '../core/digest.ts';
import { CovaultError } from '../core/errors.ts';
import type { BlockSource } from '../core/ports.ts';
import { type Block, isBlock } from '../core/recipe.ts';
import { BoundedCache } from './bounded-cache.ts';
import { type LocatedRecipe, partsOfRange, segmentAt } from './recipe-ranges.ts';

export interface ContentLimits {
  /** Bytes of blocks kept; default 32 MiB. */
  blockBytesMax?: number;
  /** Bytes read ahead of a reader that goes on in sequence, at most; default 4 MiB, 0 switches it off. */
  readAheadBytes?: number;
}

/** A reader of one file, as far as its last read tells. */
interface Progress {
  /** Where the next read begins if the reader goes on in sequence. */
  nextOffset: number;
  /** Bytes to read ahead: doubled with every read in sequence, so that a glance at a file costs little. */
  aheadBytes: number;
}

/** What is read ahead at the first read of a file that begins at its start. */
const firstAheadBytes = 256 * 1024;

/** Files whose readers are watched for sequential reading; beyond, the one longest unread is forgotten. */
const watchedFilesMax = 256;

/** Blocks read ahead at one time, of all files together. */
const readAheadBlocksMax = 8;

export class ContentReader {
  readonly #blocks: BlockSource;
  readonly #cache: BoundedCache<Uint8Array>;
  readonly #readAheadBytes: number;
  readonly #progress = new Map<number, Progress>();
  #readingAhead = 0;

  constructor(blocks: BlockSource, limits: ContentLimits = {}) {
    this.#blocks = blocks;
    this.#cache = new BoundedCache({ bytesMax: limits.blockBytesMax ?? 32 * 1024 * 1024 });
    this.#readAheadBytes = limits.readAheadBytes ?? 4 * 1024 * 1024;
  }

  /**
   * `length` bytes from `offset`, fewer at the end of the file; the caller owns them. Holes read as zeros.
   *
   * @param file tells sequential readers of different files apart.
   * @throws CovaultError `E_CORRUPT` if a block is damaged or missing: never wrong bytes.
   */
  async read(file: number, recipe: LocatedRecipe, offset: number, length: number): Promise<Uint8Array> {
    const parts = partsOfRange(recipe, offset, length);
    const last = parts.at(-1);
    if (last === undefined) return new Uint8Array(0);
    const end = offset + last.at + last.length;
    this.#readAhead(file, recipe, offset, end);
    const bytes = new Uint8Array(end - offset);
    await Promise.all(
      parts.map(async ({ segment, from, length: partLength, at }) => {
        if (!isBlock(segment)) return;
        const block = await this.block(segment);
        bytes.set(block.subarray(from, from + partLength), at);
      }),
    );
    return bytes;
  }

  /** A block's bytes, shared with the cache: not to be changed. @throws CovaultError `E_CORRUPT`. */
  block(block: Block): Promise<Uint8Array> {
    return this.#cache.get(digestKey(block.digest), async () => {
      const value = await readBlock(this.#blocks, block.digest);
      checkLength(block, value);
      return { value, bytes: value.byteLength };
    });
  }

  #readAhead(file: number, recipe: LocatedRecipe, offset: number, end: number): void {
    const aheadBytes = this.#advance(file, offset, end);
    if (aheadBytes === 0 || end >= recipe.size) return;
    const aheadEnd = Math.min(end + aheadBytes, recipe.size);
    for (let position = segmentAt(recipe, end); position < recipe.segments.length; position += 1) {
      const segment = recipe.segments[position];
      if (segment === undefined || (recipe.starts[position] as number) >= aheadEnd) return;
      if (this.#readingAhead >= readAheadBlocksMax) return;
      if (isBlock(segment) && !this.#cache.has(digestKey(segment.digest))) this.#startReadingAhead(segment);
    }
  }

  /** Notes a read; the number of bytes to read ahead after it. */
  #advance(file: number, offset: number, end: number): number {
    const before = this.#progress.get(file) ?? { nextOffset: 0, aheadBytes: firstAheadBytes / 2 };
    const isSequential = before.nextOffset === offset;
    const aheadBytes = isSequential ? Math.min(before.aheadBytes * 2, this.#readAheadBytes) : 0;
    this.#progress.delete(file);
    this.#progress.set(file, { nextOffset: end, aheadBytes: Math.max(aheadBytes, firstAheadBytes / 2) });
    for (const longestUnread of this.#progress.keys()) {
      if (this.#progress.size <= watchedFilesMax) break;
      this.#progress.delete(longestUnread);
    }
    return aheadBytes;
  }

  #startReadingAhead(block: Block): void {
    this.#readingAhead += 1;
    this.block(block)
      // Whoever needs the block asks for it again and meets the error itself.
      .catch(() => undefined)
      .finally(() => {
        this.#readingAhead -= 1;
      });
  }
}

/** A verified block. @throws CovaultError `E_CORRUPT` if the source does not have it. */
async function readBlock(blocks: BlockSource, digest: Digest): Promise<Uint8Array> {
  const bytes = await blocks.readBlock(digest);
  if (bytes === undefined) throw new CovaultError('E_CORRUPT', `block ${digestHex(digest)} is missing from the store`);
  return bytes;
}

function checkLength(block: Block, bytes: Uint8Array): void {
  if (bytes.byteLength === block.length) return;
  throw new CovaultError(
    'E_CORRUPT',
    `block ${digestHex(block.digest)} has ${bytes.byteLength} bytes where its recipe says ${block.length}`,
  );
}
