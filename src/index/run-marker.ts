/**
 * The file that says whether an index was closed cleanly: it is there while the index is open. Text of three fields:
 * starts since the index was last level, the kernel's boot identifier, the domain's identifier.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { removeFileDurably, writeFileAtomic } from '../core/atomic-file.ts';
import { systemErrorCode } from '../core/errors.ts';

const markerName = 'running';

export interface RunMarker {
  /** Starts that have not led to a level index, this one included. */
  starts: number;
  /** Differs after every start of the machine; empty if unknown. */
  boot: string;
}

/** What the last run left, or undefined if it ended cleanly or there was none. */
export async function readRunMarker(directory: string): Promise<RunMarker | undefined> {
  try {
    const [starts, boot] = (await readFile(join(directory, markerName), 'utf8')).split(' ');
    const count = Number(starts);
    return { starts: Number.isSafeInteger(count) && count >= 0 ? count : 1, boot: boot ?? '' };
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Durable when it resolves. */
export async function writeRunMarker(directory: string, marker: RunMarker): Promise<void> {
  await writeFileAtomic(join(directory, markerName), `${marker.starts} ${marker.boot}`);
}

/** Durable when it resolves. */
export async function removeRunMarker(directory: string): Promise<void> {
  await removeFileDurably(join(directory, markerName));
}

/** The identifier of the machine's present start; empty where there is none. */
export async function bootId(): Promise<string> {
  try {
    return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  } catch {
    return '';
  }
}
