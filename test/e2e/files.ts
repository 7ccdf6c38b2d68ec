/** Files for tests: content that nothing compresses, the same for the same seed. */
import { createCipheriv, createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';

/** `bytes` bytes that depend on the seed alone. */
export function contentOf(seed: string, bytes: number): Buffer {
  const key = createHash('sha256').update(seed).digest();
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(bytes));
}

export interface FileSet {
  seed: string;
  count: number;
  bytesEach: number;
}

/** Writes files, a hundred to a directory, below `directory`. */
export function writeFiles(directory: string, { seed, count, bytesEach }: FileSet): void {
  for (let number = 0; number < count; number++) {
    const folder = join(directory, seed, String(Math.floor(number / 100)));
    if (number % 100 === 0) fs.mkdirSync(folder, { recursive: true });
    fs.writeFileSync(join(folder, `file-${number}`), contentOf(`${seed} ${number}`, bytesEach));
  }
}
