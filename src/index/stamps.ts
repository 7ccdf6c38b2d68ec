/**
 * Stamps: the state a file had when its content was read. A scan takes a file whose state is not that of its stamp, or
 * that has none, for changed. Two things leave a file level without a stamp that says so; it has *drifted*. A change of
 * attributes alone gives it a new ctime without a new content. And a reading of those parts only that mutations named
 * cannot vouch for the others, since coarser mutations about them may be on their way. The stamp of a drifted file is
 * set at a barrier, when all mutations made before are known: until then one could be lost in a crash.
 */
import { putRow, rowOf } from './holdings.ts';
import type { Stamp } from './layout.ts';
import { metaKeys, writeMeta } from './meta.ts';
import type { IndexState } from './state.ts';

/**
 * Two changes within so many nanoseconds may leave the same ctime: what coarse file systems and a kernel's tick make of
 * it, with room. A file read so soon after its last change counts as changed.
 */
const closeNs = 2_000_000_000n;

/** Rows changed in one transaction. */
const rowsPerTransaction = 256;

/** Files whose drift is remembered; further ones are hashed again after an unclean stop. */
const driftedMax = 500_000;

export function stampOf(seen: { size: number; mtimeNs: bigint; ctimeNs: bigint }, readAtNs: bigint): Stamp {
  return { size: seen.size, mtimeNs: seen.mtimeNs, ctimeNs: seen.ctimeNs, readAtNs };
}

/** What stamps are judged by; `IndexState` is one. */
export interface StampJudgement {
  /** At this time the stamps were known to be right; 0n if never. */
  levelAtNs: bigint;
  /** A content read after this time is not in doubt. */
  doubtSinceNs: bigint;
  /** What was changed since this time may not have reached the disk before the power went. */
  lostSinceNs: bigint | undefined;
  nowNs(): bigint;
}

/**
 * Whether a file seen so has the content that was read when it had this stamp. Where a clock that was wrong makes that
 * doubtful, it has not.
 */
export function isStampOf(
  stamp: Stamp | undefined,
  seen: { size: number; mtimeNs: bigint; ctimeNs: bigint },
  judgement: StampJudgement,
): boolean {
  if (!stamp) return false;
  if (stamp.size !== seen.size || stamp.mtimeNs !== seen.mtimeNs || stamp.ctimeNs !== seen.ctimeNs) return false;
  const { doubtSinceNs, lostSinceNs } = judgement;
  const nowNs = judgement.nowNs();
  // Read in the future: the clock has been set back, and says nothing of what came first.
  if (stamp.readAtNs > nowNs) return false;
  if (stamp.readAtNs > doubtSinceNs) return true;
  if (lostSinceNs !== undefined && (lostSinceNs > nowNs || stamp.ctimeNs + closeNs >= lostSinceNs)) return false;
  const levelAtNs = judgement.levelAtNs > nowNs ? 0n : judgement.levelAtNs;
  const knownAtNs = stamp.readAtNs > levelAtNs ? stamp.readAtNs : levelAtNs;
  return stamp.ctimeNs + closeNs < knownAtNs;
}

export interface Barrier {
  timeNs: bigint;
  lookSerial: number;
}

/** Call before all mutations made so far are asked for. */
export function beginBarrier(state: IndexState): Barrier {
  return { timeNs: state.nowNs(), lookSerial: state.lookSerial };
}

/** Call when these mutations are in the tables: lets stamps follow. */
export async function endBarrier(state: IndexState, barrier: Barrier): Promise<void> {
  const followers = [...state.drifted].filter(([, serial]) => serial <= barrier.lookSerial).map(([inode]) => inode);
  for (let at = 0; at < followers.length; at += rowsPerTransaction) {
    await state.write(() => {
      for (const inode of followers.slice(at, at + rowsPerTransaction)) follow(state, inode, barrier.timeNs);
    });
  }
  if (state.drifted.size > driftedMax) state.drifted.clear();
  // Earlier than the last one only if the clock was set back: then that one says nothing of what is read from now on.
  if (barrier.timeNs === state.levelAtNs) return;
  await state.write(() => writeMeta(state.tables, metaKeys.levelAt, barrier.timeNs));
  state.levelAtNs = barrier.timeNs;
}

function follow(state: IndexState, inode: bigint, timeNs: bigint): void {
  state.drifted.delete(inode);
  if (state.flights.has(inode) || state.dirty.has(inode)) return;
  const row = rowOf(state, inode);
  if (row?.kind !== 'file' || row.content?.size !== row.size || state.unsettled.has(inode)) return;
  putRow(state, inode, { ...row, stamp: stampOf(row, timeNs) });
}
