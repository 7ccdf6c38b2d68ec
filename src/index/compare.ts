/** Whether what the index says of a file or directory is so: reads and compares, changes nothing. */
import { digestsEqual } from '../core/digest.ts';
import { isBlock, type Segment } from '../core/recipe.ts';
import { assembled, contentChange } from './content.ts';
import { rowOf, segmentsOf } from './holdings.ts';
import { type InodeRow, inodeKey, type Place, packLocation } from './layout.ts';
import { inodeAt, pathOf } from './names.ts';
import { differVisibly, type NodeState, withState } from './node-state.ts';
import type { IndexState } from './state.ts';
import type { MultiTable } from './tables.ts';
import { encodedTree } from './trees.ts';
import type { WorkerPool } from './worker-pool.ts';
import type { HashFile } from './worker-protocol.ts';

export interface ContentComparison {
  inode: bigint;
  /** `unknown`: it is dirty or being read, so the index says itself that it is behind. */
  found: 'same' | 'other content' | 'other places' | 'unreadable' | 'unknown';
  /** Bytes that were hashed for it. */
  bytes: number;
}

/** Hashes these files and compares; in one request to a worker, so the bytes of all should be few. */
export async function compareContents(
  state: IndexState,
  pool: WorkerPool,
  inodes: readonly bigint[],
): Promise<ContentComparison[]> {
  const files: HashFile[] = [];
  for (const inode of inodes) {
    const path = state.dirty.has(inode) || state.flights.has(inode) ? undefined : pathOf(state, inode);
    if (path) files.push({ inode, path, old: undefined });
  }
  const outcomes = files.length === 0 ? [] : await pool.run({ kind: 'hash', files });
  const found = new Map<bigint, ContentComparison>();
  for (const outcome of outcomes) {
    const { inode } = outcome;
    if (outcome.kind === 'failed') found.set(inode, { inode, found: 'unreadable', bytes: 0 });
    if (outcome.kind !== 'read') continue;
    const { segments } = assembled(outcome.pieces, []);
    found.set(inode, {
      inode,
      found: compareSegments(state, inode, { size: outcome.size, segments }),
      bytes: outcome.bytesHashed,
    });
  }
  return inodes.map((inode) => found.get(inode) ?? { inode, found: 'unknown', bytes: 0 });
}

function compareSegments(
  state: IndexState,
  inode: bigint,
  read: { size: number; segments: readonly Segment[] },
): ContentComparison['found'] {
  const row = rowOf(state, inode);
  if (row?.kind !== 'file' || state.dirty.has(inode) || state.flights.has(inode)) return 'unknown';
  const known = knownSegments(state, inode, row);
  if (known === undefined || row.content?.size !== read.size || !areSame(known, read.segments)) return 'other content';
  return areHeld(state, inode, known) ? 'same' : 'other places';
}

/** Undefined if they cannot be read from the tables. */
function knownSegments(state: IndexState, inode: bigint, row: InodeRow): readonly Segment[] | undefined {
  try {
    return row.content && segmentsOf(state, inode, row.content);
  } catch {
    return undefined;
  }
}

/** Whether every block of the file is among the blocks, at its place, and the recipe object is held for it. */
export function areHeld(state: IndexState, inode: bigint, segments: readonly Segment[]): boolean {
  let offset = 0;
  for (const segment of segments) {
    const { length } = segment;
    if (isBlock(segment) && !hasValue(state.tables.blocks, segment.digest, packLocation({ inode, offset, length }))) {
      return false;
    }
    offset += length;
  }
  const content = rowOf(state, inode)?.content;
  return !content || !('recipe' in content) || hasValue(state.tables.recipeHolders, content.recipe, inodeKey(inode));
}

/** With very many values for a key, as of a block that is everywhere, the first ones stand for all. */
const valuesMax = 1024;

function hasValue(table: MultiTable, key: Uint8Array, value: Uint8Array): boolean {
  let count = 0;
  for (const each of table.values(key)) if (++count > valuesMax || each.equals(value)) return true;
  return false;
}

function areSame(a: readonly Segment[], b: readonly Segment[]): boolean {
  const { added, removed } = contentChange(a, b);
  return a.length === b.length && added.length === 0 && removed.length === 0;
}

/** Whether the index has `seen` at `place`. A file that is dirty is known to be behind. */
export function isAsKnown(state: IndexState, place: Place, seen: NodeState): boolean {
  const inode = inodeAt(state, place);
  const row = inode === undefined ? undefined : rowOf(state, inode);
  if (inode !== seen.inode || !row) return false;
  return state.dirty.has(inode) || (!differVisibly(row, withState(row, seen)) && row.size === seen.size);
}

/** Whether the directory's tree is that of its entries, and can be read; one that is stale is known to be behind. */
export function isTreeRight(state: IndexState, directory: bigint): boolean {
  if (state.stale.has(directory)) return true;
  const digest = state.tables.directories.get(inodeKey(directory));
  if (!digest || !state.tables.trees.has(digest)) return false;
  return digestsEqual(digest, state.digester.digest(encodedTree(state, directory)));
}
