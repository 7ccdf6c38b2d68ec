/**
 * The files that say how an index was left. `running` is there while the index is open, a text of two fields: starts
 * since the index was last level, the kernel's boot identifier. `closed` is there after a clean end, a text with size and
 * modification time of the tables' file: if it is another one by then, somebody else has written to it.
 */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { removeFileDurably, writeFileAtomic } from '../core/atomic-file.ts';
import { systemErrorCode } from '../core/errors.ts';

const markerName = 'running';
const closedName = 'closed';

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

/**
 * The index in `file`, within the directory, is closed. Durable when it resolves. Notes nothing if somebody has removed it
 * meanwhile.
 */
export async function noteClosed(directory: string, file: string): Promise<void> {
  try {
    await writeFileAtomic(join(directory, closedName), await shapeOf(join(directory, file)));
    await removeFileDurably(join(directory, markerName));
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
  }
}

/** Whether the file is as it was when the index was closed; true if nothing is known, or there is no file. */
export async function isAsClosed(directory: string, file: string): Promise<boolean> {
  try {
    const noted = await readFile(join(directory, closedName), 'utf8');
    return noted === (await shapeOf(join(directory, file)));
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return true;
    throw error;
  }
}

async function shapeOf(path: string): Promise<string> {
  const { size, mtimeNs } = await stat(path, { bigint: true });
  return `${size} ${mtimeNs}`;
}

/** The identifier of the machine's present start; empty where there is none. */
export async function bootId(): Promise<string> {
  try {
    return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  } catch {
    return '';
  }
}
