/**
 * What writers do inside a mount while cuts are taken. Each operation has an order number, its position in the
 * writer's list, and the bytes that it writes say which operation wrote them.
 */

/** `path` is relative to the mount; `slot` is one of the writer's open files. */
export type Operation =
  | { act: 'create'; path: string; slot: number }
  | { act: 'open'; path: string; slot: number }
  | { act: 'close'; slot: number }
  | { act: 'write'; slot: number; offset: number; length: number; zero: boolean }
  | { act: 'append'; path: string; length: number }
  | { act: 'truncate'; slot: number; size: number }
  | { act: 'allocate'; slot: number; offset: number; length: number }
  | { act: 'punch'; slot: number; offset: number; length: number }
  | { act: 'copy'; from: number; to: number; fromOffset: number; offset: number; length: number }
  /** Through a shared mapping of the whole file, made at the slot's first store. */
  | { act: 'store'; slot: number; offset: number; length: number }
  /** Flushes the mapping, which covers the first `length` bytes. */
  | { act: 'msync'; slot: number; length: number }
  | { act: 'fsync'; slot: number }
  | { act: 'mkdir'; path: string }
  | { act: 'rmdir'; path: string }
  | { act: 'unlink'; path: string }
  | { act: 'rename'; path: string; to: string }
  | { act: 'exchange'; path: string; to: string }
  | { act: 'link'; path: string; to: string }
  | { act: 'symlink'; path: string; target: string }
  | { act: 'fifo'; path: string }
  | { act: 'chmod'; path: string; mode: number }
  | { act: 'utimes'; path: string; mtimeNs: string }
  | { act: 'setxattr'; path: string; name: string; value: string }
  | { act: 'removexattr'; path: string; name: string }
  /** A file without a name (O_TMPFILE), and its name. */
  | { act: 'unnamed'; path: string; slot: number }
  | { act: 'name'; slot: number; path: string }
  /** One record at the writer's own place in a file that all writers write. */
  | { act: 'record'; place: number; synced: boolean }
  /** One record at the end of a file to which all writers append. */
  | { act: 'log' }
  /** Makes a file aside, flushes it, and renames it over the one name for which all writers compete. */
  | { act: 'publish' };

export const shared = {
  directory: 'shared',
  /** Names of all writers, each beginning with the writer's own name. */
  names: 'shared/names',
  records: 'shared/records',
  log: 'shared/log',
  current: 'shared/current',
  /** Where files are made before they are published; of no interest. */
  aside: 'shared/aside',
} as const;

/** Bytes of one record, in the shared log and the shared records. */
export const recordBytes = 512;
export const recordsPerWriter = 16;

export const pageBytes = 4096;

export function homeOf(writer: number): string {
  return `w${writer}`;
}

/**
 * What operation `order` of `writer` writes: little-endian words of 64 bits, the first of them
 * (writer + 1) << 56 | order << 24, each one more than the word before.
 */
export function contentOf(writer: number, order: number, length: number): Buffer {
  const words = new Uint32Array(Math.ceil(length / 8) * 2);
  const low = ((order & 0xff) << 24) >>> 0;
  const high = (((writer + 1) << 24) | (order >>> 8)) >>> 0;
  for (let at = 0; at < words.length; at += 2) {
    words[at] = low + at / 2;
    words[at + 1] = high;
  }
  return Buffer.from(words.buffer, 0, length);
}

/** Whose bytes these are: the inverse of `contentOf` for what begins with a whole word of it. */
export function authorOf(bytes: Buffer): { writer: number; order: number } {
  const low = bytes.readUInt32LE(0);
  const high = bytes.readUInt32LE(4);
  return { writer: (high >>> 24) - 1, order: (high & 0xffffff) * 256 + (low >>> 24) };
}

/** Pseudo-random numbers that a seed repeats (mulberry32). */
export function randomFrom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}
