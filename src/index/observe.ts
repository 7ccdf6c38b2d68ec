/** What was seen in the data directory, put into the tables. In a transaction. */
import { forgetInode } from './forget.ts';
import { putRow, rowOf } from './holdings.ts';
import type { InodeRow, Place } from './layout.ts';
import { markChanged, markStale, otherPlaces, putName, removeName } from './names.ts';
import { differVisibly, isSameState, type NodeState, withState } from './node-state.ts';
import { endOfFile } from './ranges.ts';
import { listLater } from './replay.ts';
import { isStampOf, stampOf } from './stamps.ts';
import type { IndexState } from './state.ts';

export interface Sighting {
  /**
   * `reported`: mutations told of whatever was written, so contents are as the index knows them. `listed`: nothing
   * told, so a file that is not as its stamp says may have any content.
   */
  by: 'reported' | 'listed';
  /** The inode was made a short while ago, so what it holds is told by later mutations. */
  isNew: boolean;
}

/** `seen` is what stands at `place`: undefined for nothing. */
export function observe(state: IndexState, place: Place, seen: NodeState | undefined, sighting: Sighting): void {
  state.lookSerial++;
  state.counters.looks++;
  if (!seen) {
    removeName(state, place);
    return;
  }
  putName(state, place, seen.inode);
  // A directory that is here is nowhere else.
  if (seen.kind === 'directory') {
    for (const other of otherPlaces(state, seen.inode, place)) removeName(state, other);
  }
  observeInode(state, seen, sighting);
}

export function observeInode(state: IndexState, seen: NodeState, sighting: Sighting): void {
  const isStray = state.strays.delete(seen.inode);
  const flight = state.flights.get(seen.inode);
  if (flight) flight.isLooked = true;
  let row = rowOf(state, seen.inode);
  if (row && row.kind !== seen.kind) {
    forgetInode(state, seen.inode, row);
    row = undefined;
  }
  if (!row) {
    addInode(state, seen, sighting);
    return;
  }
  const by = isStray ? 'listed' : sighting.by;
  if (state.unreadable.has(seen.inode)) tryAgain(state, seen);
  if (isStray && seen.kind === 'directory' && !seen.isForeign) {
    state.isDoubtful = true;
    listLater(state, seen.inode, true);
  }
  if (by === 'reported' && isSameState(row, seen)) return;
  if (seen.kind === 'file') checkContent(state, row, seen, by);
  if (isSameState(row, seen)) return;
  const next = withState(row, seen);
  putRow(state, seen.inode, next);
  const isSizeVisible = row.content === undefined && row.size !== next.size;
  if (isSizeVisible || differVisibly(row, next)) markChanged(state, seen.inode);
}

/** Its permissions may be others now. */
function tryAgain(state: IndexState, seen: NodeState): void {
  state.unreadable.delete(seen.inode);
  if (seen.kind === 'directory') listLater(state, seen.inode, true);
  else state.dirty.release(seen.inode);
}

function addInode(state: IndexState, seen: NodeState, { by, isNew }: Sighting): void {
  const { inode } = seen;
  const row = withState(undefined, seen);
  if (seen.kind === 'file') {
    if (seen.size === 0) {
      row.content = { size: 0, segments: [] };
      row.stamp = stampOf(seen, state.nowNs());
    } else {
      state.dirty.mark(inode, 'whole');
      if (by === 'reported') state.dirty.touch(inode);
      else state.counters.filesFoundChanged++;
    }
  }
  putRow(state, inode, row);
  if (seen.kind === 'directory') {
    markStale(state, inode);
    if (seen.isForeign) state.foreign.add(inode);
    else if (!isNew) listLater(state, inode, true);
  }
  markChanged(state, inode);
}

function checkContent(state: IndexState, row: InodeRow, seen: NodeState, by: Sighting['by']): void {
  const { inode } = seen;
  if (by === 'listed') {
    if (isStampOf(row.stamp, seen, state) && row.content?.size === seen.size) return;
    const flight = state.flights.get(inode);
    if (flight?.isWhole && flight.readAtNs > state.doubtSinceNs) return;
    if (!flight && state.dirty.has(inode) && state.dirty.extentOf(inode) === 'whole') return;
    if (flight) flight.later = 'whole';
    state.dirty.mark(inode, 'whole');
    state.counters.filesFoundChanged++;
    return;
  }
  if (state.flights.has(inode) || state.dirty.has(inode)) return;
  if (row.content?.size !== seen.size) {
    // The mutation that tells what was written is still on its way.
    const ranges = state.dirty.noRanges();
    ranges.add(Math.min(row.content?.size ?? 0, seen.size), endOfFile);
    state.dirty.mark(inode, ranges);
    state.dirty.touch(inode);
  } else if (row.stamp?.ctimeNs !== seen.ctimeNs) {
    state.drifted.set(inode, state.lookSerial);
  }
}
