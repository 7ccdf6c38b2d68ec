/** From what a worker says of a file's content to its recipe, and from two recipes to what changed: pure. */
import { type Digest, digestBytes, digestsEqual } from '../core/digest.ts';
import { CovaultError } from '../core/errors.ts';
import { isBlock, type Recipe, type Segment } from '../core/recipe.ts';
import type { Piece } from './content-hash.ts';
import { type PlacedDigest, placedBlocks } from './layout.ts';

/** Lengths of the segments as `recut.ts` has them: a block's positive, a hole's negative. */
export function signedLengths(segments: readonly Segment[]): number[] {
  return segments.map((segment) => (isBlock(segment) ? segment.length : -segment.length));
}

/**
 * The recipe that `pieces` describe, neighbouring holes joined.
 *
 * @param old the segments that the pieces refer to.
 * @throws CovaultError `E_CORRUPT` if the pieces do not fit the old segments.
 */
export function assembled(pieces: readonly Piece[], old: readonly Segment[]): Recipe {
  const segments: Segment[] = [];
  let size = 0;
  const add = (segment: Segment) => {
    size += segment.length;
    const last = segments[segments.length - 1];
    if (!isBlock(segment) && last && !isBlock(last))
      segments[segments.length - 1] = { length: last.length + segment.length };
    else segments.push(segment);
  };
  for (const piece of pieces) {
    if ('lengths' in piece) for (const segment of newSegments(piece)) add(segment);
    else for (const segment of keptSegments(piece, old)) add(segment);
  }
  return { size, segments };
}

function* newSegments({ lengths, digests }: { lengths: number[]; digests: Uint8Array }): Generator<Segment> {
  let at = 0;
  for (const length of lengths) {
    if (length < 0) {
      yield { length: -length };
    } else {
      yield { digest: digests.subarray(at, at + digestBytes), length };
      at += digestBytes;
    }
  }
}

function* keptSegments(
  { first, count, holeBytes }: { first: number; count: number; holeBytes?: number },
  old: readonly Segment[],
): Generator<Segment> {
  for (let number = first; number < first + count; number++) {
    const segment = old[number];
    if (segment === undefined) throw new CovaultError('E_CORRUPT', `a recipe has no segment ${number}`);
    yield holeBytes !== undefined && number === first + count - 1 ? { length: holeBytes } : segment;
  }
}

/** Which blocks are where they were not, and which were where they are no more. */
export function contentChange(
  before: readonly Segment[],
  after: readonly Segment[],
): { added: PlacedDigest[]; removed: PlacedDigest[] } {
  const added: PlacedDigest[] = [];
  const removed: PlacedDigest[] = [];
  const olds = placedBlocks(before);
  let old = olds.next();
  for (const { block, offset } of placedBlocks(after)) {
    while (!old.done && old.value.offset < offset) {
      removed.push({ ...old.value.block, offset: old.value.offset });
      old = olds.next();
    }
    const isSame = !old.done && old.value.offset === offset && isSameBlock(old.value.block, block);
    if (isSame) old = olds.next();
    else added.push({ ...block, offset });
  }
  for (; !old.done; old = olds.next()) removed.push({ ...old.value.block, offset: old.value.offset });
  return { added, removed };
}

function isSameBlock(a: { digest: Digest; length: number }, b: { digest: Digest; length: number }): boolean {
  return a.length === b.length && digestsEqual(a.digest, b.digest);
}
