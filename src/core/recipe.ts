/**
 * Recipes: the ordered blocks and holes that make up a file's content.
 *
 * Encoded form, version 1: `[1, size, segments]` where a segment is `[digest, length]` for a block or `length` for a
 * hole. The lengths add up to the size.
 */
import { decode, encode } from './codec.ts';
import type { Digest } from './digest.ts';
import { CovaultError } from './errors.ts';
import { limits } from './limits.ts';
import { asCount, asDigest, asList } from './shape.ts';

/** One block: its digest and its length in bytes (1 to `limits.blockBytesMax`). */
export interface Block {
  digest: Digest;
  length: number;
}

/** A range that reads as zeros and takes no space; its length in bytes. */
export interface Hole {
  digest?: undefined;
  length: number;
}

export type Segment = Block | Hole;

export interface Recipe {
  /** Bytes of the file. */
  size: number;
  segments: Segment[];
}

export const emptyRecipe: Recipe = { size: 0, segments: [] };

export function isBlock(segment: Segment): segment is Block {
  return segment.digest !== undefined;
}

export function encodeRecipe(recipe: Recipe): Uint8Array {
  return encode([1, recipe.size, packSegments(recipe.segments)]);
}

/** @throws CovaultError `E_CORRUPT` or `E_VERSION`. */
export function decodeRecipe(bytes: Uint8Array): Recipe {
  const fields = asList(decode(bytes, 'recipe'), 'recipe', 3);
  if (fields[0] !== 1) throw new CovaultError('E_VERSION', `recipe of unknown version ${String(fields[0])}`);
  return unpackRecipe(fields[1], fields[2]);
}

/** The plain form of segments inside another encoded record. */
export function packSegments(segments: readonly Segment[]): unknown[] {
  return segments.map((segment) => (isBlock(segment) ? [segment.digest, segment.length] : segment.length));
}

/** The inverse of `packSegments`, checked: lengths within limits and adding up to `size`. */
export function unpackRecipe(size: unknown, packed: unknown): Recipe {
  const recipe: Recipe = { size: asCount(size, 'recipe size'), segments: [] };
  let sum = 0;
  for (const item of asList(packed, 'segments')) {
    const segment = unpackSegment(item);
    sum += segment.length;
    recipe.segments.push(segment);
  }
  if (sum !== recipe.size)
    throw new CovaultError('E_CORRUPT', `segments of ${sum} bytes in a recipe of ${recipe.size}`);
  return recipe;
}

function unpackSegment(item: unknown): Segment {
  if (!Array.isArray(item)) return { length: asCount(item, 'hole length', Number.MAX_SAFE_INTEGER, 1) };
  return {
    digest: asDigest(item[0], 'block digest'),
    length: asCount(item[1], 'block length', limits.blockBytesMax, 1),
  };
}
