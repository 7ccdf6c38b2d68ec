/** Walks over the part of a snapshot that is to be restored, directories before what is in them. */
import { createHash } from 'node:crypto';
import type { DirectoryEntry, TreeEntry } from '../core/tree.ts';
import type { Place } from './directory-handles.ts';
import { splitPath } from './find-snapshot.ts';
import type { SnapshotObjects, Tree } from './snapshot-objects.ts';

/** What of a directory is wanted: everything, or some of its entries by name (latin1, a character for each byte). */
export type Selection = 'everything' | ReadonlyMap<string, Selection>;

/** `Directory` is what the visitor makes of a directory. */
export interface Visitor<Directory extends Place> {
  /** Before the entries; undefined leaves them all out. */
  enter(parent: Directory, entry: DirectoryEntry): Promise<Directory | undefined>;
  /** Anything but a directory. */
  visit(parent: Directory, entry: TreeEntry): Promise<void>;
  /** After the entries. */
  leave(directory: Directory, entry: DirectoryEntry): Promise<void>;
  /** The entries cannot be read. `leave` follows. */
  unreadable(directory: Directory, error: unknown): Promise<void>;
}

/** @throws CovaultError `E_BAD_INPUT` for a path that leads upwards. No paths are everything. */
export function selectPaths(paths: readonly Uint8Array[] | undefined): Selection {
  if (paths === undefined || paths.length === 0) return 'everything';
  const top = new Map<string, Selection>();
  for (const path of paths) {
    const names = splitPath(path).map((name) => Buffer.from(name).toString('latin1'));
    if (!addPath(top, names)) return 'everything';
  }
  return top;
}

/** False if the path is the top itself. */
function addPath(top: Map<string, Selection>, names: readonly string[]): boolean {
  let at = top;
  for (const [depth, name] of names.entries()) {
    const below = at.get(name);
    if (below === 'everything') return true;
    if (depth === names.length - 1) {
      at.set(name, 'everything');
      return true;
    }
    const next = below === undefined ? new Map<string, Selection>() : (below as Map<string, Selection>);
    at.set(name, next);
    at = next;
  }
  return false;
}

/** Equal for equal selections, in whatever order they were given: 64 hexadecimal digits. */
export function selectionId(selection: Selection): string {
  const hash = createHash('sha256');
  const add = (selected: Selection) => {
    if (selected === 'everything') {
      hash.update('*');
      return;
    }
    for (const [name, below] of [...selected].sort(([a], [b]) => (a < b ? -1 : 1))) {
      hash.update(`${name}/(`, 'latin1');
      add(below);
      hash.update(')');
    }
  };
  add(selection);
  return hash.digest('hex');
}

/** Visits what is selected below `directory`, whose entry is `entry`; calls neither `enter` nor `leave` for it itself. */
export async function walkSelected<Directory extends Place>(
  objects: SnapshotObjects,
  directory: Directory,
  entry: DirectoryEntry,
  selection: Selection,
  visitor: Visitor<Directory>,
): Promise<void> {
  let tree: Tree;
  try {
    tree = await objects.tree(entry.tree);
  } catch (error) {
    await visitor.unreadable(directory, error);
    return;
  }
  for (const [child, below] of selectedOf(tree, selection)) {
    if (child.kind !== 'directory') {
      await visitor.visit(directory, child);
      continue;
    }
    const entered = await visitor.enter(directory, child);
    if (entered === undefined) continue;
    await walkSelected(objects, entered, child, below, visitor);
    await visitor.leave(entered, child);
  }
}

function* selectedOf(tree: Tree, selection: Selection): Generator<[TreeEntry, Selection]> {
  for (const entry of tree) {
    const below = selection === 'everything' ? selection : selection.get(Buffer.from(entry.name).toString('latin1'));
    if (below !== undefined) yield [entry, below];
  }
}
