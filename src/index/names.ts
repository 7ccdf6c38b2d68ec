/**
 * Names and the tree of directories they make. Everything here runs within a transaction of the index's loop, but for
 * what only reads.
 *
 * Invariants: `names` and `links` say the same in both directions; a directory has one name at most; with a stale
 * directory all above it are stale.
 */
import { endOfInode, inodeKey, inodeOfKey, type Place, placeKey, placeOfKey, unpackRow } from './layout.ts';
import type { IndexState } from './state.ts';
import type { View } from './tables.ts';

const noBytes = Buffer.alloc(0);

export function inodeAt(state: IndexState, place: Place): bigint | undefined {
  const value = state.tables.names.get(placeKey(place.parent, place.name));
  return value && inodeOfKey(value);
}

/** Any one of the inode's places. */
export function placeOf(state: IndexState, inode: bigint): Place | undefined {
  const value = state.tables.links.first(inodeKey(inode));
  return value && placeOfKey(value);
}

/** The directory's names with their inodes, in ascending byte order, from after `after` on. */
export function* namesIn(
  state: IndexState,
  directory: bigint,
  after?: Uint8Array,
): Generator<{ name: Uint8Array; inode: bigint }> {
  const start =
    after === undefined ? inodeKey(directory) : Buffer.concat([placeKey(directory, after), Buffer.alloc(1)]);
  for (const { key, value } of state.tables.names.range({ start, end: endOfInode(directory) })) {
    yield { name: placeOfKey(key).name, inode: inodeOfKey(value) };
  }
}

/** A place of the inode that a path leads to, if there is one, else any. */
export function foundPlaceOf(state: IndexState, inode: bigint): Place | undefined {
  let any: Place | undefined;
  for (const value of state.tables.links.values(inodeKey(inode))) {
    const place = placeOfKey(value);
    any ??= place;
    if (directoryPath(state, place.parent)) return place;
  }
  return any;
}

/** The path of an inode relative to the data directory, or undefined if no chain of names leads to it. */
export function pathOf(state: IndexState, inode: bigint): Buffer | undefined {
  if (inode === state.root) return noBytes;
  const place = foundPlaceOf(state, inode);
  const above = place && directoryPath(state, place.parent);
  return above && joined(above, place.name);
}

function directoryPath(state: IndexState, directory: bigint): Buffer | undefined {
  const below: { inode: bigint; name: Uint8Array }[] = [];
  let at = directory;
  let path: Buffer | undefined;
  for (;;) {
    path = at === state.root ? noBytes : state.paths.get(at);
    if (path) break;
    const place = placeOf(state, at);
    if (!place || below.length > deepestPath) return undefined;
    below.push({ inode: at, name: place.name });
    at = place.parent;
  }
  for (const { inode: each, name } of below.reverse()) {
    path = joined(path, name);
    state.paths.set(each, path);
  }
  return path;
}

function joined(path: Buffer, name: Uint8Array): Buffer {
  return path.byteLength === 0 ? Buffer.from(name) : Buffer.concat([path, slash, name]);
}

/** The same in an earlier moment of the tables. */
export function pathInView(state: IndexState, view: View, inode: bigint): Buffer | undefined {
  const names: Uint8Array[] = [];
  for (let at = inode; at !== state.root; ) {
    const [value] = state.tables.links.values(inodeKey(at), view);
    if (!value || names.length > deepestPath) return undefined;
    const place = placeOfKey(value);
    names.unshift(place.name);
    at = place.parent;
  }
  return Buffer.concat(names.flatMap((name, number) => (number === 0 ? [name] : [slash, name])));
}

const slash = Buffer.from('/');

/** Directories within directories beyond this are taken for a circle, which half-applied renames can make. */
const deepestPath = 100_000;

/** The name now stands for `inode`; what stood there has lost it. */
export function putName(state: IndexState, place: Place, inode: bigint): void {
  const key = placeKey(place.parent, place.name);
  const before = state.tables.names.get(key);
  if (before) {
    if (inodeOfKey(before) === inode) return;
    dropLink(state, inodeOfKey(before), key);
  }
  state.paths.forget(inode);
  if (state.isDoubtful) state.strays.add(inode);
  state.tables.names.put(key, inodeKey(inode));
  state.tables.links.put(inodeKey(inode), key);
  markStale(state, place.parent);
}

/** The name is gone; gives the inode it stood for. */
export function removeName(state: IndexState, place: Place): bigint | undefined {
  const key = placeKey(place.parent, place.name);
  const value = state.tables.names.get(key);
  if (!value) return undefined;
  const inode = inodeOfKey(value);
  state.tables.names.remove(key);
  dropLink(state, inode, key);
  markStale(state, place.parent);
  return inode;
}

/** The inode is not at that place any more, whatever the name stands for: also where damage has parted the tables. */
export function dropPlace(state: IndexState, inode: bigint, place: Place): void {
  const key = placeKey(place.parent, place.name);
  const value = state.tables.names.get(key);
  if (value && inodeOfKey(value) === inode) removeName(state, place);
  else dropLink(state, inode, key);
}

/** Other names of `inode` than `place`, which a directory cannot have. */
export function otherPlaces(state: IndexState, inode: bigint, place: Place): Place[] {
  const key = placeKey(place.parent, place.name);
  return [...state.tables.links.values(inodeKey(inode))].filter((value) => !value.equals(key)).map(placeOfKey);
}

export function placesOf(state: IndexState, inode: bigint): Place[] {
  return [...state.tables.links.values(inodeKey(inode))].map(placeOfKey);
}

/** The directory's tree is behind, and so are those of the directories above it. */
export function markStale(state: IndexState, directory: bigint): void {
  let at: bigint | undefined = directory;
  while (at !== undefined && !state.stale.has(at)) {
    state.stale.add(at);
    state.tables.stale.put(inodeKey(at), noBytes);
    at = at === state.root ? undefined : placeOf(state, at)?.parent;
  }
}

/** Something visible of the inode changed: the trees that name it are behind. The root's own entry is made when asked for. */
export function markChanged(state: IndexState, inode: bigint): void {
  for (const { parent } of placesOf(state, inode)) markStale(state, parent);
}

function dropLink(state: IndexState, inode: bigint, key: Buffer): void {
  state.paths.forget(inode);
  state.tables.links.remove(inodeKey(inode), key);
  if (state.isDoubtful) state.strays.add(inode);
  if (!state.tables.links.has(inodeKey(inode))) {
    state.orphans.add(inode);
    return;
  }
  state.unlinked.add(inode);
  // What is stale below it may have been counted as hanging on the name that goes.
  if (isDirectory(state, inode)) markChanged(state, inode);
}

/** Whether the index knows the inode as a directory. */
export function isDirectory(state: IndexState, inode: bigint): boolean {
  const bytes = state.tables.inodes.get(inodeKey(inode));
  return bytes !== undefined && unpackRow(bytes).kind === 'directory';
}
