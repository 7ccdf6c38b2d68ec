/**
 * A process that writes records through a mount until that fails, and then says what was accepted:
 *
 *   node writing-process.ts DIRECTORY NAME  →  {"accepted": 4711, "synced": 4600, "error": "ENOTCONN"}
 *
 * `accepted` records were written without an error; of these, `synced` were in files that fsync was called for.
 */
import { closeSync, fsyncSync, openSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { recordName, recordsPerFile, recordText } from './written-records.ts';

const [directory = '', name = ''] = process.argv.slice(2);
/** Files between two that are synced. */
const syncEvery = 5;
let accepted = 0;
let synced = 0;
try {
  for (;;) {
    const path = join(directory, recordName(name, accepted));
    const file = openSync(`${path}.tmp`, 'w');
    for (let i = 0; i < recordsPerFile; i++) {
      const text = recordText(name, accepted);
      // A write of which a part failed says how much was taken; the record was not.
      if (writeSync(file, text) < text.length) throw new Error('short write');
      accepted += 1;
      if (accepted === 1) process.stdout.write('writing\n');
    }
    if (Math.floor(accepted / recordsPerFile) % syncEvery === 0) {
      fsyncSync(file);
      synced = accepted;
    }
    closeSync(file);
    renameSync(`${path}.tmp`, path);
  }
} catch (error) {
  process.stdout.write(`${JSON.stringify({ accepted, synced, error: (error as NodeJS.ErrnoException).code })}\n`);
}
// What is open still cannot be closed in order.
process.exit(0);
