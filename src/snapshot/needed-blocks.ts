/** Gathers the blocks that the store lacks, each once, in file order. */
import { type Digest, digestHex } from '../core/digest.ts';
import { CovaultError } from '../core/errors.ts';
import type { SnapshotSink } from '../core/ports.ts';
import { isBlock, type Segment } from '../core/recipe.ts';
import { DigestTable } from './digest-table.ts';

/** Needed blocks number `start` to `end` - 1 that came with one recipe object. */
export interface RecipeRun {
  recipe: Digest;
  start: number;
  end: number;
}

export class NeededGatherer {
  readonly digests = new DigestTable();
  /** Runs of recipe objects, ascending; blocks outside of them are those of files with inline recipes. */
  readonly runs: RecipeRun[] = [];
  readonly #sink: Pick<SnapshotSink, 'hasBlock'>;
  #lengths = new Uint32Array(64);
  #bytes = 0;

  constructor(sink: Pick<SnapshotSink, 'hasBlock'>) {
    this.#sink = sink;
  }

  get count(): number {
    return this.digests.count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Bytes of each block; a copy. */
  lengths(): Uint32Array {
    return this.#lengths.slice(0, this.count);
  }

  /**
   * Adds those of `segments` that are blocks, not in the store and not added before.
   *
   * @throws CovaultError `E_CORRUPT` if a block comes with two lengths.
   */
  add(segments: readonly Segment[]): void {
    for (const segment of segments) {
      if (!isBlock(segment) || this.#sink.hasBlock(segment.digest)) continue;
      const before = this.count;
      const number = this.digests.add(segment.digest);
      if (number < before) {
        if (this.#lengths[number] !== segment.length) {
          throw new CovaultError('E_CORRUPT', `block ${digestHex(segment.digest)} is said to have two lengths`);
        }
        continue;
      }
      this.#setLength(number, segment.length);
      this.#bytes += segment.length;
    }
  }

  /** The same for the segments of a recipe that is an object of its own. */
  addRecipe(recipe: Digest, segments: readonly Segment[]): void {
    const start = this.count;
    this.add(segments);
    if (this.count > start) this.runs.push({ recipe, start, end: this.count });
  }

  #setLength(number: number, length: number): void {
    if (number >= this.#lengths.length) {
      const lengths = new Uint32Array(this.#lengths.length * 2);
      lengths.set(this.#lengths);
      this.#lengths = lengths;
    }
    this.#lengths[number] = length;
  }
}
