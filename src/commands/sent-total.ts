/** What was sent to others this month, kept over restarts in `sent.json` of the state directory. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '../core/atomic-file.ts';
import { asCount, asRecord, asText } from '../core/shape.ts';
import type { MonthTotal } from '../snapshot/serving-policy.ts';
import type { Logger } from './logging.ts';

/** How often it is written while it grows: a killed daemon forgets what it sent since. */
const writeMs = 10_000;

/** The total that was kept; nothing if there is none that can be read. */
export async function loadSentTotal(stateDirectory: string, log: Logger): Promise<MonthTotal> {
  const path = pathIn(stateDirectory);
  const content = await readFile(path, 'utf8').catch(() => undefined);
  if (content === undefined) return { month: '', bytes: 0 };
  try {
    const fields = asRecord(JSON.parse(content), path);
    return { month: asText(fields.month, 'month', 7), bytes: asCount(fields.bytes, 'bytes') };
  } catch (error) {
    log.warn({ error, path }, 'the count of bytes sent this month cannot be read and begins anew');
    return { month: '', bytes: 0 };
  }
}

/** Writes the total from time to time, and when it is closed. */
export class SentTotalKeeper {
  readonly #path: string;
  readonly #total: () => MonthTotal;
  readonly #log: Logger;
  readonly #timer: NodeJS.Timeout;
  #writtenBytes: number;
  #writing: Promise<void> = Promise.resolve();

  constructor(stateDirectory: string, total: () => MonthTotal, log: Logger) {
    this.#path = pathIn(stateDirectory);
    this.#total = total;
    this.#log = log;
    this.#writtenBytes = total().bytes;
    this.#timer = setInterval(() => this.#write(), writeMs);
    this.#timer.unref();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#write();
    await this.#writing;
  }

  #write(): void {
    const { month, bytes } = this.#total();
    if (bytes === this.#writtenBytes) return;
    this.#writtenBytes = bytes;
    const content = `${JSON.stringify({ version: 1, month, bytes })}\n`;
    this.#writing = this.#writing
      .then(() => writeFileAtomic(this.#path, content))
      .catch((error: unknown) => this.#log.warn({ error }, 'the count of bytes sent cannot be written'));
  }
}

function pathIn(stateDirectory: string): string {
  return join(stateDirectory, 'sent.json');
}
