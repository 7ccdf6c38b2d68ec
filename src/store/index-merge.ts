/** Keeps the number of index files small: merges many small ones into few. */
import { isCovaultError } from '../core/errors.ts';
import type { Backend } from './backend.ts';
import { type IndexedPack, indexRowBytes, readIndexFile, rowCount, writeIndexFile } from './index-file.ts';
import type { StoreKeys } from './keys.ts';

/** An index file with fewer rows is small. */
const smallRowsMax = 8192;

/** So many small ones are left alone. */
const smallFilesMax = 16;

/** Merged at once: bounds memory to about 12 MB. */
const filesPerMerge = 32;

/** Rows of an index file that is written in one go, at most (but for the pack that passes it). */
export const rowsPerIndexFile = 200_000;

/**
 * Merges small index files while there are many, and calls `onMerged` after each merge. Safe beside other writers and
 * mergers: the new file is there before the old ones go, and saying a thing twice is harmless.
 *
 * @param files index files with the number of their rows, those of this writer included.
 */
export async function mergeIndexFiles(
  backend: Backend,
  keys: StoreKeys,
  files: ReadonlyMap<string, number>,
  onMerged: (merged: { name: string; rows: number; bytes: number }, removed: readonly string[]) => void,
): Promise<void> {
  const small = [...files].filter(([, rows]) => rows < smallRowsMax).map(([name]) => name);
  small.sort();
  while (small.length > smallFilesMax) {
    const names = small.splice(0, filesPerMerge);
    const merged: IndexedPack[] = [];
    const read: string[] = [];
    for (const name of names) {
      try {
        merged.push(...(await readIndexFile(backend, keys, name)));
        read.push(name);
      } catch (error) {
        // Another writer merged it meanwhile, or it is damaged and stays for a check to name.
        if (!isCovaultError(error, 'E_NOT_FOUND') && !isCovaultError(error, 'E_CORRUPT')) throw error;
      }
    }
    if (read.length < 2) continue;
    const packs = unitePacks(merged);
    const { name, bytes } = await writeIndexFile(backend, keys, packs);
    for (const old of read) await backend.remove(old);
    onMerged({ name, bytes, rows: packs.reduce((sum, pack) => sum + rowCount(pack), 0) }, read);
  }
}

/** One item for each pack, with all rows that any of its items has, in ascending order of hashes. */
export function unitePacks(packs: readonly IndexedPack[]): IndexedPack[] {
  const byHash = new Map<string, IndexedPack[]>();
  for (const pack of packs) {
    const same = byHash.get(pack.hash);
    if (same) same.push(pack);
    else byHash.set(pack.hash, [pack]);
  }
  return [...byHash.values()].map(uniteRows).sort((a, b) => (a.hash < b.hash ? -1 : 1));
}

function uniteRows(same: readonly IndexedPack[]): IndexedPack {
  const [first, ...others] = same;
  if (!first) throw new Error('no pack to unite');
  if (others.length === 0) return first;
  // A row begins with a digest but is unique by its whole: compared as binary text, sorted by where it stands.
  const rows = new Map<string, Buffer>();
  for (const pack of same) {
    for (let at = 0; at < pack.rows.byteLength; at += indexRowBytes) {
      const row = pack.rows.subarray(at, at + indexRowBytes);
      rows.set(row.toString('latin1'), row);
    }
  }
  const offsetOf = (row: Buffer) => row.readUInt32LE(34);
  return { ...first, rows: Buffer.concat([...rows.values()].sort((a, b) => offsetOf(a) - offsetOf(b))) };
}

/** Groups of packs, each small enough for one index file. */
export function* indexFileGroups(packs: Iterable<IndexedPack>): Generator<IndexedPack[]> {
  let group: IndexedPack[] = [];
  let rows = 0;
  for (const pack of packs) {
    group.push(pack);
    rows += rowCount(pack);
    if (rows < rowsPerIndexFile) continue;
    yield group;
    group = [];
    rows = 0;
  }
  if (group.length > 0) yield group;
}
