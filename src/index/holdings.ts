/**
 * Which blocks and recipe objects are held, and where. Keeps `blocks`, `recipes` and `recipeHolders` in step with the
 * contents of inode rows and tells the feed of every digest that comes or goes.
 *
 * A change that is too large for one transaction is made in several: first the locations concerned are written to `intents`,
 * then locations are added, then the row changes, then old locations go. After a kill in between, `undoIntents`
 * removes what belongs to no content. Locations are hints, verified on use, so readers may see any state in between.
 */
import { type Digest, digestsEqual } from '../core/digest.ts';
import { limits } from '../core/limits.ts';
import { decodeRecipe, encodeRecipe, type Recipe, type Segment } from '../core/recipe.ts';
import { contentChange } from './content.ts';
import {
  type InodeRow,
  inodeKey,
  inodeOfKey,
  type PlacedDigest,
  packLocation,
  packPlacedDigests,
  packRow,
  type RowContent,
  unpackPlacedDigests,
  unpackRow,
} from './layout.ts';
import type { IndexState } from './state.ts';
import type { View } from './tables.ts';

/** Locations changed in one transaction; some milliseconds. */
export const changesPerTransaction = 512;

export function rowOf(state: IndexState, inode: bigint): InodeRow | undefined {
  const bytes = state.tables.inodes.get(inodeKey(inode));
  return bytes && unpackRow(bytes);
}

/** In a transaction. */
export function putRow(state: IndexState, inode: bigint, row: InodeRow): void {
  count(state, rowOf(state, inode), row);
  state.tables.inodes.put(inodeKey(inode), packRow(row));
}

/** In a transaction: only the row itself. */
export function removeRow(state: IndexState, inode: bigint): void {
  count(state, rowOf(state, inode), undefined);
  state.tables.inodes.remove(inodeKey(inode));
}

function count({ totals }: IndexState, before: InodeRow | undefined, after: InodeRow | undefined): void {
  if (before?.kind === 'file') {
    totals.files--;
    totals.bytes -= before.size;
  }
  if (after?.kind === 'file') {
    totals.files++;
    totals.bytes += after.size;
  }
}

/** The segments of a row's content; none if it has no content. */
export function segmentsOf(state: IndexState, inode: bigint, content: RowContent | undefined): readonly Segment[] {
  if (content === undefined) return [];
  if ('segments' in content) return content.segments;
  const bytes = state.tables.recipes.get(inodeKey(inode));
  return bytes === undefined ? [] : decodeRecipe(bytes).segments;
}

/** A new content for an inode, prepared outside of the transaction. */
export interface ContentUpdate {
  inode: bigint;
  added: PlacedDigest[];
  removed: PlacedDigest[];
  content: RowContent | undefined;
  /** The encoded recipe, if it is an object. */
  object: Uint8Array | undefined;
  /** The digest of the recipe object that the inode had. */
  objectBefore: Digest | undefined;
}

/** What must change for `inode`, whose row is `row`, to have `recipe` (undefined: none). Reads only. */
export function contentUpdate(
  state: IndexState,
  inode: bigint,
  row: InodeRow | undefined,
  recipe: Recipe | undefined,
): ContentUpdate {
  const before = segmentsOf(state, inode, row?.content);
  const isObject = recipe !== undefined && recipe.segments.length > limits.inlineSegmentsMax;
  const object = isObject ? encodeRecipe(recipe) : undefined;
  let content: RowContent | undefined = recipe && { size: recipe.size, segments: recipe.segments };
  if (recipe && object) content = { size: recipe.size, recipe: state.digester.digest(object) };
  return {
    inode,
    ...contentChange(before, recipe?.segments ?? []),
    content,
    object,
    objectBefore: row?.content && 'recipe' in row.content ? row.content.recipe : undefined,
  };
}

export function changeCount(update: ContentUpdate): number {
  return update.added.length + update.removed.length;
}

/** In one transaction: makes the change of an update of moderate size; the caller puts the row with `content`. */
export function applyUpdate(state: IndexState, update: ContentUpdate): void {
  for (const location of update.added) addLocation(state, update.inode, location);
  replaceObject(state, update);
  for (const location of update.removed) removeLocation(state, update.inode, location);
}

/**
 * Makes the change of a large update in several transactions, `putRows` in the one that makes it count.
 *
 * @param putRows puts the row with the new content, or removes it.
 */
export async function applyLargeUpdate(state: IndexState, update: ContentUpdate, putRows: () => void): Promise<void> {
  const key = inodeKey(update.inode);
  const all = [...update.added, ...update.removed];
  await state.write(() => state.tables.intents.put(key, packPlacedDigests(all)));
  for (const part of parts(update.added)) {
    await state.write(() => {
      for (const location of part) addLocation(state, update.inode, location);
    });
  }
  await state.write(() => {
    replaceObject(state, update);
    putRows();
  });
  for (const part of parts(update.removed)) {
    await state.write(() => {
      for (const location of part) removeLocation(state, update.inode, location);
    });
  }
  await state.write(() => state.tables.intents.remove(key));
}

/** After an unclean stop: removes the locations that a large update left without a content. */
export async function undoIntents(state: IndexState): Promise<void> {
  for (const { key, value } of [...state.tables.intents.range({})]) {
    const inode = inodeOfKey(key);
    const present = segmentsOf(state, inode, rowOf(state, inode)?.content);
    const kept = new Map<number, Digest>();
    for (const { digest, offset } of contentChange([], present).added) kept.set(offset, digest);
    const lost = unpackPlacedDigests(value).filter(({ digest, offset }) => {
      const there = kept.get(offset);
      return there === undefined || !digestsEqual(there, digest);
    });
    for (const part of parts(lost)) {
      await state.write(() => {
        for (const location of part) removeLocation(state, inode, location);
      });
    }
    await state.write(() => state.tables.intents.remove(key));
  }
}

/** The recipe object of that digest. */
export function readRecipe(state: IndexState, digest: Digest, view: View): Uint8Array | undefined {
  for (const inode of state.tables.recipeHolders.values(digest, view)) return state.tables.recipes.get(inode, view);
  return undefined;
}

function replaceObject(state: IndexState, { inode, object, content, objectBefore }: ContentUpdate): void {
  const { recipes, recipeHolders } = state.tables;
  const key = inodeKey(inode);
  const digest = content && 'recipe' in content ? content.recipe : undefined;
  if (digest && objectBefore && digestsEqual(digest, objectBefore)) return;
  if (digest && object) {
    if (!isHeld(state, digest)) state.feed.gain(digest);
    recipeHolders.put(digest, key);
    recipes.put(key, object);
  } else {
    recipes.remove(key);
  }
  if (objectBefore) {
    recipeHolders.remove(objectBefore, key);
    if (!isHeld(state, objectBefore)) state.feed.lose(objectBefore);
  }
}

function addLocation(state: IndexState, inode: bigint, { digest, offset, length }: PlacedDigest): void {
  if (!isHeld(state, digest)) state.feed.gain(digest);
  state.tables.blocks.put(digest, packLocation({ inode, offset, length }));
}

function removeLocation(state: IndexState, inode: bigint, { digest, offset, length }: PlacedDigest): void {
  if (!state.tables.blocks.has(digest)) return;
  state.tables.blocks.remove(digest, packLocation({ inode, offset, length }));
  if (!isHeld(state, digest)) state.feed.lose(digest);
}

/** As a block or as a recipe object: a file may contain the bytes of a recipe. */
function isHeld(state: IndexState, digest: Digest): boolean {
  return state.tables.blocks.has(digest) || state.tables.recipeHolders.has(digest);
}

function* parts<T>(items: readonly T[]): Generator<T[]> {
  for (let at = 0; at < items.length; at += changesPerTransaction) yield items.slice(at, at + changesPerTransaction);
}
