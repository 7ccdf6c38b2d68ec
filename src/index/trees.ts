/**
 * Directory trees, kept up to date by encoding only stale directories, the deepest first. Trees are objects shared by
 * all directories that have the same; one without references stays until the root has its new tree, so that whatever a
 * committed root's tree names can be read.
 */
import type { Digest } from '../core/digest.ts';
import { digestsEqual } from '../core/digest.ts';
import { type DirectoryEntry, type EntryAttributes, encodeTree, type TreeEntry } from '../core/tree.ts';
import { rowOf } from './holdings.ts';
import { type InodeRow, inodeKey, packTree, unpackTree } from './layout.ts';
import { namesIn, placeOf } from './names.ts';
import { isLinked } from './node-state.ts';
import { listLater } from './replay.ts';
import type { IndexState } from './state.ts';
import type { View } from './tables.ts';

const noBytes = Buffer.alloc(0);

/** Milliseconds after which a transaction takes no further directory, so that others get their turn. */
const turnMs = 5;

/** Condemned trees removed in one transaction. */
const treesPerTransaction = 512;

/** Brings all trees up to date that the root's tree can reach. @returns how many directories were encoded. */
export async function updateTrees(state: IndexState): Promise<number> {
  const order = deepestFirst(state);
  let done = 0;
  while (done < order.length) {
    await state.write(() => {
      const endMs = state.clock.monotonicMs() + turnMs;
      do updateTree(state, order[done++] as bigint);
      while (done < order.length && state.clock.monotonicMs() < endMs);
    });
  }
  await removeCondemned(state);
  return order.length;
}

/** The data directory as an entry, or undefined if it has not been seen or its tree was not made yet. */
export function rootEntry(state: IndexState): DirectoryEntry | undefined {
  const row = rowOf(state, state.root);
  const tree = state.tables.directories.get(inodeKey(state.root));
  if (!row || !tree) return undefined;
  return { ...attributesOf(row, state.root, noBytes), kind: 'directory', tree };
}

/** The encoded tree of that digest. */
export function readTree(state: IndexState, digest: Digest, view: View): Uint8Array | undefined {
  const value = state.tables.trees.get(digest, view);
  return value && unpackTree(value).bytes;
}

/** In a transaction: the directory has no tree any more. */
export function dropTree(state: IndexState, directory: bigint): void {
  const key = inodeKey(directory);
  const digest = state.tables.directories.get(key);
  if (!digest) return;
  state.tables.directories.remove(key);
  release(state, digest);
}

function updateTree(state: IndexState, directory: bigint): void {
  const key = inodeKey(directory);
  const bytes = encodedTree(state, directory);
  const digest = state.digester.digest(bytes);
  const before = state.tables.directories.get(key);
  if (!before || !digestsEqual(before, digest)) {
    const present = state.tables.trees.get(digest);
    const references = present ? unpackTree(present).references : 0;
    state.tables.trees.put(digest, packTree(references + 1, bytes));
    state.tables.directories.put(key, digest);
    if (before) release(state, before);
  }
  state.stale.delete(directory);
  state.tables.stale.remove(key);
}

function release(state: IndexState, digest: Digest): void {
  const value = state.tables.trees.get(digest);
  if (!value) return;
  const { references, bytes } = unpackTree(value);
  state.tables.trees.put(digest, packTree(references - 1, bytes));
  if (references === 1) state.tables.condemned.put(digest, noBytes);
}

async function removeCondemned(state: IndexState): Promise<void> {
  for (;;) {
    const some = [...state.tables.condemned.keys({ limit: treesPerTransaction })];
    if (some.length === 0) return;
    await state.write(() => {
      for (const digest of some) {
        const value = state.tables.trees.get(digest);
        if (value && unpackTree(value).references === 0) state.tables.trees.remove(digest);
        state.tables.condemned.remove(digest);
      }
    });
  }
}

/** The tree of the directory as its entries are in the tables. */
export function encodedTree(state: IndexState, directory: bigint): Uint8Array {
  return encodeTree(entriesOf(state, directory));
}

function entriesOf(state: IndexState, directory: bigint): TreeEntry[] {
  const entries: TreeEntry[] = [];
  for (const { name, inode } of namesIn(state, directory)) {
    const row = rowOf(state, inode);
    const entry = row && entryOf(state, row, { inode, name });
    if (entry) entries.push(entry);
    // It was told of and is still to be seen.
    else if (!row) listLater(state, directory, false);
  }
  return entries;
}

function entryOf(
  state: IndexState,
  row: InodeRow,
  { inode, name }: { inode: bigint; name: Uint8Array },
): TreeEntry | undefined {
  const attributes = attributesOf(row, inode, name);
  switch (row.kind) {
    case 'file': {
      const { content } = row;
      if (!content) return { ...attributes, kind: 'file', size: row.size, content: { missing: true } };
      const { size } = content;
      if ('recipe' in content) return { ...attributes, kind: 'file', size, content: { recipe: content.recipe } };
      return { ...attributes, kind: 'file', size, content: { segments: content.segments } };
    }
    case 'directory': {
      const tree = state.tables.directories.get(inodeKey(inode));
      if (tree) return { ...attributes, kind: 'directory', tree };
      // Two names for one directory, of which one is void: a look at both puts that right.
      listLater(state, directoryAbove(state, inode), false);
      return undefined;
    }
    case 'symlink':
      return { ...attributes, kind: 'symlink', target: row.target ?? noBytes };
    case 'char':
    case 'block':
      return { ...attributes, kind: row.kind, rdev: row.rdev };
    case 'fifo':
    case 'socket':
      return { ...attributes, kind: row.kind };
  }
}

function attributesOf(row: InodeRow, inode: bigint, name: Uint8Array): EntryAttributes {
  const { mode, uid, gid, mtimeNs, xattrs } = row;
  return { name, mode, uid, gid, mtimeNs, xattrs, ...(isLinked(row) ? { link: inode } : {}) };
}

function directoryAbove(state: IndexState, inode: bigint): bigint {
  return placeOf(state, inode)?.parent ?? state.root;
}

/** The stale directories that hang on the root, each after those below it. */
function deepestFirst(state: IndexState): bigint[] {
  const depths = new Map<bigint, number>([[state.root, 0]]);
  const attached: bigint[] = [];
  for (const directory of state.stale) {
    if (depthOf(state, directory, depths) >= 0 && state.tables.inodes.has(inodeKey(directory)))
      attached.push(directory);
  }
  const depth = (directory: bigint) => depths.get(directory) ?? 0;
  return attached.sort((a, b) => depth(b) - depth(a));
}

/** Directories between it and the root, from `depths` as far as known there; -1 if it does not hang on the root. */
function depthOf(state: IndexState, directory: bigint, depths: Map<bigint, number>): number {
  const way: bigint[] = [];
  const onWay = new Set<bigint>();
  let at: bigint | undefined = directory;
  while (at !== undefined && !depths.has(at) && !onWay.has(at)) {
    way.push(at);
    onWay.add(at);
    at = placeOf(state, at)?.parent;
  }
  let depth = at === undefined || onWay.has(at) ? -1 : (depths.get(at) as number);
  for (const each of way.reverse()) {
    if (depth >= 0) depth++;
    depths.set(each, depth);
  }
  return depth;
}
