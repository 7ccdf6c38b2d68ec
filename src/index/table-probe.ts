/**
 * Entry of a process that reads an index's tables through and compares them with themselves, given as its only message
 * where they are and what they were made with. Ends with status 0 if all is well; otherwise it throws, or the damage
 * ends it.
 */
import { systemClock } from '../core/clock.ts';
import { createDigester } from '../core/digest.ts';
import type { CutParameters } from '../core/domain.ts';
import { IndexState } from './state.ts';
import { openTables } from './tables.ts';
import { verifyTables } from './verify-tables.ts';

export interface ProbeRequest {
  directory: string;
  digestKey: Uint8Array;
  cut: CutParameters;
  /** The data directory's inode. */
  root: bigint;
  /** See `openTables`. */
  hasLostPower: boolean;
}

process.once('message', async ({ directory, digestKey, cut, root, hasLostPower }: ProbeRequest) => {
  const tables = openTables(directory, { hasLostPower });
  verifyTables(new IndexState({ tables, digester: createDigester(digestKey), cut, clock: systemClock, root }));
  await tables.close();
  process.disconnect();
});
