/** Inodes that are gone from the data directory: their rows, contents, names below them. */
import {
  applyLargeUpdate,
  applyUpdate,
  changeCount,
  changesPerTransaction,
  contentUpdate,
  removeRow,
  rowOf,
} from './holdings.ts';
import { type InodeRow, inodeKey } from './layout.ts';
import { namesIn, placeOf, removeName } from './names.ts';
import type { IndexState } from './state.ts';
import { dropTree } from './trees.ts';

/** Inodes or names handled in one transaction. */
const inodesPerTransaction = 128;

/**
 * In a transaction: forgets an inode of which nothing stands any more, whatever its size.
 *
 * @param row undefined for one that was named but never seen; it may have had names within.
 */
export function forgetInode(state: IndexState, inode: bigint, row: InodeRow | undefined): void {
  for (const { name } of [...namesIn(state, inode)]) removeName(state, { parent: inode, name });
  if (row?.content) applyUpdate(state, contentUpdate(state, inode, row, undefined));
  forgetRow(state, inode);
}

/**
 * Forgets the inodes in `state.orphans` that have no name left, and what was only below them. Call only when no name
 * can be on its way from one place to another: no scan under way and no mutation waiting.
 */
export async function forgetOrphans(state: IndexState): Promise<void> {
  while (state.orphans.size > 0) {
    const some: bigint[] = [];
    for (const inode of state.orphans) if (some.push(inode) === inodesPerTransaction) break;
    const large: bigint[] = [];
    await state.write(() => {
      for (const inode of some) {
        state.orphans.delete(inode);
        if (!forgetOrphan(state, inode)) large.push(inode);
      }
    });
    for (const inode of large) await forgetLarge(state, inode);
  }
}

/** @returns false if that is too much for one transaction. */
function forgetOrphan(state: IndexState, inode: bigint): boolean {
  if (inode === state.root || placeOf(state, inode)) return true;
  const row = rowOf(state, inode);
  if (row?.content && changeCount(contentUpdate(state, inode, row, undefined)) > changesPerTransaction) return false;
  let names = 0;
  for (const _ of namesIn(state, inode)) if (++names > changesPerTransaction) return false;
  forgetInode(state, inode, row);
  return true;
}

async function forgetLarge(state: IndexState, inode: bigint): Promise<void> {
  const row = rowOf(state, inode);
  if (row?.content) {
    await applyLargeUpdate(state, contentUpdate(state, inode, row, undefined), () => forgetRow(state, inode));
    return;
  }
  for (let more = true; more; ) {
    await state.write(() => {
      const names: Uint8Array[] = [];
      for (const { name } of namesIn(state, inode)) if (names.push(name) === inodesPerTransaction) break;
      for (const name of names) removeName(state, { parent: inode, name });
      more = names.length > 0;
    });
  }
  await state.write(() => forgetInode(state, inode, row));
}

/** That the inode is to be listed stays: its number may be another directory's by now, of which a mutation said so. */
function forgetRow(state: IndexState, inode: bigint): void {
  const key = inodeKey(inode);
  removeRow(state, inode);
  dropTree(state, inode);
  if (state.stale.delete(inode)) state.tables.stale.remove(key);
  state.dirty.settle(inode, undefined);
  state.unreadable.delete(inode);
  state.unsettled.delete(inode);
  state.foreign.delete(inode);
  state.drifted.delete(inode);
  state.strays.delete(inode);
  state.paths.forget(inode);
  const flight = state.flights.get(inode);
  if (flight) flight.isVoid = true;
}
