/**
 * Whether the tables agree with themselves: LMDB has no checksums, so what was overwritten within a value shows only
 * where it is said twice. Names and attributes need no proof, since the scan at the start compares them; digests do.
 */
import { digestsEqual } from '../core/digest.ts';
import { areHeld, isTreeRight } from './compare.ts';
import { rowOf, segmentsOf } from './holdings.ts';
import { inodeOfKey, placedBlocks, unpackFeedChange, unpackLocation, unpackRow, unpackTree } from './layout.ts';
import type { IndexState } from './state.ts';

/** @throws Error naming the first thing that is wrong; whatever reading a damaged table throws. */
export function verifyTables(state: IndexState): void {
  const { tables } = state;
  for (const { value } of tables.feed.range({})) unpackFeedChange(value);
  verifyNames(state);
  for (const table of [tables.stale, tables.condemned, tables.dirty, tables.intents, tables.meta]) {
    for (const { key, value } of table.range({})) void [key, value];
  }
  for (const key of tables.recipeHolders.keys({})) for (const value of tables.recipeHolders.values(key)) void value;
  for (const { key, value } of tables.trees.range({})) {
    if (!digestsEqual(key, state.digester.digest(unpackTree(value).bytes)))
      throw new Error('a tree is not what it must be');
  }
  for (const { key } of tables.directories.range({})) {
    const directory = inodeOfKey(key);
    if (rowOf(state, directory) && !isTreeRight(state, directory)) throw new Error('a directory has another tree');
  }
  verifyContents(state);
}

/** Names and links say the same. */
function verifyNames({ tables }: IndexState): void {
  let links = 0;
  for (const inode of tables.links.keys({})) {
    for (const place of tables.links.values(inode)) {
      if (!tables.names.get(place)?.equals(inode)) throw new Error('a name is not where it must be');
      links++;
    }
  }
  let names = 0;
  for (const _ of tables.names.range({})) names++;
  if (names !== links) throw new Error(`there are ${links} links of ${names} names`);
}

/** Blocks are where contents say, and nowhere else but where an unfinished change put them. */
function verifyContents(state: IndexState): void {
  const { tables } = state;
  let places = 0;
  for (const { key, value } of tables.inodes.range({})) {
    const row = unpackRow(value);
    const inode = inodeOfKey(key);
    const segments = segmentsOf(state, inode, row.content);
    if (row.content && 'recipe' in row.content) {
      const bytes = tables.recipes.get(key);
      const isRight = bytes !== undefined && digestsEqual(row.content.recipe, state.digester.digest(bytes));
      if (!isRight) throw new Error('a recipe is not what it must be');
    }
    if (!areHeld(state, inode, segments)) throw new Error('a block is not where it must be');
    for (const _ of placedBlocks(segments)) places++;
  }
  let found = 0;
  for (const key of tables.blocks.keys({})) {
    for (const value of tables.blocks.values(key)) {
      unpackLocation(value);
      found++;
    }
  }
  if (found !== places && tables.intents.count() === 0)
    throw new Error(`there are ${found} places of blocks, not ${places}`);
}
