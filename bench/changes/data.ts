/** Data of the changes benchmark: bytes that do not compress or repeat, the same in every run. */
import { createCipheriv, createHash } from 'node:crypto';
import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';

const filesPerDirectory = 100;
/** Between these, most of them near the lower end: what a home directory is full of. */
const fileBytes = { min: 256, max: 16_384 };
const chunkBytes = 4 * 1024 * 1024;

/** Numbers below 2^32, the same for the same text. */
export function randomOf(text: string): () => number {
  let state = createHash('sha256').update(text).digest().readUInt32LE(0) || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state;
  };
}

export function fileName(number: number): string {
  const directory = Math.floor(number / filesPerDirectory);
  return join(`d${Math.floor(directory / 100)}`, `d${directory}`, `f${number}`);
}

/** `count` small files, a hundred in a directory, a hundred directories in another. */
export async function makeSmallFiles(directory: string, count: number): Promise<void> {
  const random = randomOf('small files');
  const source = stream('small files');
  let pool = source(chunkBytes);
  for (let number = 0, at = 0; number < count; number++) {
    const path = join(directory, fileName(number));
    if (number % filesPerDirectory === 0) await mkdir(join(path, '..'), { recursive: true });
    const share = (random() / 2 ** 32) ** 4;
    const length = fileBytes.min + Math.floor(share * (fileBytes.max - fileBytes.min));
    if (at + length > pool.byteLength) {
      pool = source(chunkBytes);
      at = 0;
    }
    await writeWhole(path, pool.subarray(at, at + length));
    at += length;
  }
}

/** Files of `bytesEach` together `bytes` long. */
export async function makeLargeFiles(directory: string, bytes: number, bytesEach: number): Promise<void> {
  const source = stream(`large files ${bytesEach}`);
  for (let number = 0; number * bytesEach < bytes; number++) {
    const file = await open(join(directory, `large-${number}`), 'w');
    try {
      for (let left = bytesEach; left > 0; left -= chunkBytes) await file.write(source(Math.min(left, chunkBytes)));
    } finally {
      await file.close();
    }
  }
}

/** Replaces the first bytes of `count` of the small files, chosen by `round`. */
export async function changeSmallFiles(directory: string, of: number, count: number, round: string): Promise<void> {
  const random = randomOf(round);
  for (let change = 0; change < count; change++) {
    const file = await open(join(directory, fileName(random() % of)), 'r+');
    try {
      await file.write(Buffer.from(`${round} ${change} ${random()}`), 0, undefined, 0);
    } finally {
      await file.close();
    }
  }
}

/** Writes `count` aligned pieces of `bytesEach` at random places of a file. */
export async function writeRandomly(
  path: string,
  options: { fileBytes: number; bytesEach: number; count: number; round: string },
): Promise<void> {
  const { bytesEach, count, round } = options;
  const random = randomOf(round);
  const source = stream(round);
  const file = await open(path, 'r+');
  try {
    for (let write = 0; write < count; write++) {
      const at = (random() % Math.floor(options.fileBytes / bytesEach)) * bytesEach;
      await file.write(source(bytesEach), 0, bytesEach, at);
    }
  } finally {
    await file.close();
  }
}

async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'w');
  try {
    await file.write(bytes);
  } finally {
    await file.close();
  }
}

/** A generator of bytes that nothing can compress. */
function stream(seed: string): (length: number) => Buffer {
  const key = createHash('sha256').update(seed).digest();
  const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
  return (length) => cipher.update(Buffer.alloc(length));
}
