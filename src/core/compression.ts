/** Compression of blocks and objects: zstd (RFC 8878). */
import { CovaultError } from './errors.ts';
import { isOneFrame } from './zstd-frame.ts';
import { compressAtOnce, decompressAtOnce, ZstdStreams } from './zstd-streams.ts';

/**
 * The default of zstd. In pieces of 256 KiB, level 1 takes half to three quarters of the time and 7 to 8 % more space,
 * level 6 twice the time for 1 to 2 % less.
 */
const level = 3;

/**
 * From this size in bytes on, work goes to the thread pool; below, the way there and back costs more than the work, which
 * a coder made anew does in 30 to 100 µs (measured).
 */
export const poolBytesMin = 8 * 1024;

const compressors = ZstdStreams.compressing(level);
const decompressors = ZstdStreams.decompressing();

/**
 * `bytes` compressed, or undefined where less than a 32nd would be saved. Bytes that cannot be compressed are not
 * looked for beforehand: zstd passes over them faster (1 to 2 GB/s) than a sample of them is judged here.
 */
export async function compress(bytes: Uint8Array): Promise<Uint8Array | undefined> {
  if (bytes.byteLength < poolBytesMin) return compressHere(bytes);
  const packed = await compressors.run(bytes, Number.POSITIVE_INFINITY);
  return isWorthIt(packed, bytes) ? packed : undefined;
}

/** As `compress`, on the calling thread: for threads that have nothing else to do. */
export function compressHere(bytes: Uint8Array): Uint8Array | undefined {
  const packed = compressAtOnce(bytes, level);
  return isWorthIt(packed, bytes) ? packed : undefined;
}

/** Whether so much is saved that `packed` is to be kept in place of `bytes`. */
export function isWorthIt(packed: Uint8Array, bytes: Uint8Array): boolean {
  return packed.byteLength <= bytes.byteLength - bytes.byteLength / 32;
}

/**
 * The inverse of `compress`.
 *
 * @throws CovaultError `E_CORRUPT` if the result has not exactly `length` bytes.
 */
export async function decompress(packed: Uint8Array, length: number): Promise<Uint8Array> {
  let bytes: Uint8Array;
  if (!isOneFrame(packed)) throw new CovaultError('E_CORRUPT', 'compressed bytes are cut short or run on');
  try {
    bytes = length < poolBytesMin ? decompressAtOnce(packed, length) : await decompressors.run(packed, length);
  } catch (cause) {
    throw new CovaultError('E_CORRUPT', 'compressed bytes cannot be decompressed', { cause });
  }
  if (bytes.byteLength === length) return bytes;
  throw new CovaultError('E_CORRUPT', `decompressed to ${bytes.byteLength} bytes instead of ${length}`);
}
