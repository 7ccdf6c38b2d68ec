/** What the writing process writes, for it and for those who look afterwards. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export const recordsPerFile = 200;
const recordBytes = 100;

/** The record with this number, always of the same length. */
export function recordText(name: string, record: number): string {
  return `${name} ${record}`.padEnd(recordBytes - 1, '.').concat('\n');
}

/** Of the file that a record is in; `.tmp` follows while it is being written. */
export function recordName(name: string, record: number): string {
  return `${name}-${Math.floor(record / recordsPerFile)}`;
}

/** Of the first `count` records, those that are not in the directory as they were written. */
export function missingRecords(directory: string, name: string, count: number): number[] {
  const missing: number[] = [];
  for (let first = 0; first < count; first += recordsPerFile) {
    const path = join(directory, recordName(name, first));
    const found = [path, `${path}.tmp`].find((candidate) => existsSync(candidate));
    const text = found === undefined ? '' : readFileSync(found, 'latin1');
    for (let record = first; record < Math.min(count, first + recordsPerFile); record++) {
      const at = (record - first) * recordBytes;
      if (text.slice(at, at + recordBytes) !== recordText(name, record)) missing.push(record);
    }
  }
  return missing;
}
