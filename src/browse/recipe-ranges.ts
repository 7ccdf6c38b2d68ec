/** Which parts of which segments make up a range of a file: offset arithmetic over a recipe, without I/O. */
import type { Recipe, Segment } from '../core/recipe.ts';

/** A recipe with the offset at which each segment starts, for search by offset. */
export interface LocatedRecipe extends Recipe {
  /** `starts[i]` is the offset of `segments[i]` within the file; one further item is the size. */
  starts: Float64Array;
}

/** Part of one segment. */
export interface SegmentPart {
  segment: Segment;
  /** Offset of the part within its segment. */
  from: number;
  length: number;
  /** Offset of the part within the range asked for. */
  at: number;
}

export function locateSegments(recipe: Recipe): LocatedRecipe {
  const starts = new Float64Array(recipe.segments.length + 1);
  recipe.segments.forEach((segment, position) => {
    starts[position + 1] = (starts[position] as number) + segment.length;
  });
  return { ...recipe, starts };
}

/** The position of the segment that holds the byte at `offset`; 0 <= `offset` < size. Binary search. */
export function segmentAt(recipe: LocatedRecipe, offset: number): number {
  let low = 0;
  let high = recipe.segments.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if ((recipe.starts[middle] as number) <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** The parts that make up `length` bytes from `offset`, in order; less at the end of the file, none behind it. */
export function partsOfRange(recipe: LocatedRecipe, offset: number, length: number): SegmentPart[] {
  const end = Math.min(offset + length, recipe.size);
  const parts: SegmentPart[] = [];
  if (offset >= end) return parts;
  for (let position = segmentAt(recipe, offset), at = offset; at < end; position += 1) {
    const segment = recipe.segments[position] as Segment;
    const from = at - (recipe.starts[position] as number);
    const partLength = Math.min(segment.length - from, end - at);
    parts.push({ segment, from, length: partLength, at: at - offset });
    at += partLength;
  }
  return parts;
}
