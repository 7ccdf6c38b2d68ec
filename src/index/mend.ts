/** Puts right what a check found to be wrong in the tables. In the index's loop. */
import { applyLargeUpdate, contentUpdate, putRow, rowOf } from './holdings.ts';
import { markStale } from './names.ts';
import type { IndexState } from './state.ts';
import { dropTree } from './trees.ts';

/**
 * The file is read again as a whole.
 *
 * @param forget what the tables have of its content is taken out first, since only what differs from it is put in.
 */
export async function mendContent(state: IndexState, inode: bigint, forget: boolean): Promise<void> {
  const row = rowOf(state, inode);
  if (forget && row) {
    const update = contentUpdate(state, inode, row, undefined);
    const empty = { ...row, content: undefined, stamp: undefined };
    await applyLargeUpdate(state, update, () => putRow(state, inode, empty));
  }
  await state.write(() => state.dirty.mark(inode, 'whole'));
}

/** The directory's tree is made anew, and those above it. */
export async function mendTree(state: IndexState, directory: bigint): Promise<void> {
  await state.write(() => {
    dropTree(state, directory);
    // Those above may be said to be stale already, but not on the way from here.
    state.stale.delete(directory);
    markStale(state, directory);
  });
}
