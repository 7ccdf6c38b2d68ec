/**
 * Mutations on the tables: names move as the mutation says, contents become dirty, and everything that was touched is
 * looked at afterwards, so that in the end the present state stands, whatever order mutations came in. In a transaction.
 */
import type { Mutation } from '../core/mutation.ts';
import { inodeKey, type Place } from './layout.ts';
import { inodeAt, isDirectory, namesIn, placeOf, putName, removeName } from './names.ts';
import { endOfFile, joined } from './ranges.ts';
import type { IndexState } from './state.ts';
import type { Touched } from './touched.ts';

export function replay(state: IndexState, mutation: Mutation, touched: Touched): void {
  state.counters.mutations++;
  switch (mutation.kind) {
    case 'content':
      written(state, mutation.inode, mutation.offset, mutation.offset + mutation.length);
      break;
    case 'truncate':
      written(state, mutation.inode, mutation.size, endOfFile);
      break;
    case 'create':
      newInode(state, mutation.inode);
      named(state, mutation, mutation.inode, { touched, isNew: true });
      break;
    case 'link':
      named(state, mutation, mutation.inode, { touched, isNew: false });
      break;
    case 'unlink':
      unnamed(state, mutation, touched);
      break;
    case 'rename':
      renamed(state, mutation, touched);
      break;
    case 'attributes':
    case 'xattrs':
      touched.addInode(mutation.inode);
      break;
    case 'inode':
      touched.addInode(mutation.inode);
      if (isDirectory(state, mutation.inode)) doubt(state, mutation.inode, false);
      else written(state, mutation.inode, 0, endOfFile);
      break;
    case 'subtree':
      doubt(state, mutation.inode, true);
      break;
  }
}

/** What is in the directory may have changed, contents included. */
export function doubt(state: IndexState, directory: bigint, deep: boolean): void {
  state.doubtSinceNs = state.nowNs();
  if (deep) {
    state.isDoubtful = true;
    for (const inode of state.orphans) if (!placeOf(state, inode)) state.strays.add(inode);
  }
  listLater(state, directory, deep);
}

/** The directory must be listed, `deep`: with all below it. */
export function listLater(state: IndexState, directory: bigint, deep: boolean): void {
  state.unlisted.set(directory, deep || state.unlisted.get(directory) === true);
}

/** Content of a file that the index does not know is not noted: it is dirty as a whole when it becomes known. */
function written(state: IndexState, inode: bigint, start: number, end: number): void {
  if (!state.tables.inodes.has(inodeKey(inode))) return;
  const ranges = state.dirty.noRanges();
  ranges.add(start, end);
  if (ranges.isEmpty) return;
  const flight = state.flights.get(inode);
  if (flight) flight.later = joined(flight.later, ranges);
  else state.dirty.mark(inode, ranges);
  state.dirty.touch(inode);
}

/** The number may have been another's, so nothing that is known of its content, or of names within, stands. */
function newInode(state: IndexState, inode: bigint): void {
  const [name] = namesIn(state, inode);
  if (name) listLater(state, inode, false);
  if (!state.tables.inodes.has(inodeKey(inode))) return;
  const flight = state.flights.get(inode);
  if (flight) flight.isVoid = true;
  state.dirty.mark(inode, 'whole');
  state.dirty.touch(inode);
}

function named(state: IndexState, place: Place, inode: bigint, how: { touched: Touched; isNew: boolean }): void {
  if (!isKnown(state, place.parent)) return;
  putName(state, place, inode);
  how.touched.addName(place, how.isNew ? { created: inode } : {});
  // A further name changes the number of links, which all names show.
  if (!how.isNew) how.touched.addInode(inode);
}

function unnamed(state: IndexState, place: Place, touched: Touched): void {
  // A directory that has lost its name for the moment, and was never looked at, may still have names within.
  removeName(state, place);
  if (isKnown(state, place.parent)) touched.addName(place);
}

function renamed(state: IndexState, mutation: Extract<Mutation, { kind: 'rename' }>, touched: Touched): void {
  const { inode, exchange } = mutation;
  const from = { parent: mutation.parent, name: mutation.name };
  const to = { parent: mutation.newParent, name: mutation.newName };
  const other = inodeAt(state, to);
  // If it stands at the new place, its exchange has been seen already.
  if (!exchange || other === undefined) removeName(state, from);
  else if (!isKnown(state, from.parent)) removeName(state, from);
  else if (other !== inode) putName(state, from, other);
  if (isKnown(state, from.parent)) touched.addName(from);
  // What was said of names within it was not noted.
  if (!isKnown(state, inode)) listLater(state, inode, true);
  named(state, to, inode, { touched, isNew: false });
}

/** Names within a directory that the index has not come across are seen when it does: then it is listed. */
function isKnown(state: IndexState, directory: bigint): boolean {
  const key = inodeKey(directory);
  return directory === state.root || state.tables.links.has(key) || state.tables.inodes.has(key);
}
