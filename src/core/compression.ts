/** Compression of blocks and objects: zstd (RFC 8878) through node:zlib, the only user of it. */
import { promisify } from 'node:util';
import { constants, zstdCompress, zstdCompressSync, zstdDecompress, zstdDecompressSync } from 'node:zlib';
import { CovaultError } from './errors.ts';

const compressInPool = promisify(zstdCompress);
const decompressInPool = promisify(zstdDecompress);

/**
 * From this size in bytes on, work goes to the thread pool; below, the way there and back costs more than the work
 * (about 30 µs for 1.5 KiB, measured).
 */
const poolBytesMin = 16 * 1024;

/**
 * `dense` is level 3, the default of zstd. In pieces of 256 KiB, level 1 (`fast`) takes half to three quarters of the
 * time and 7 to 8 % more space, level 6 twice the time for 1 to 2 % less.
 */
const levels = { fast: 1, dense: 3 } as const;
export type Effort = keyof typeof levels;

/**
 * `bytes` compressed, or undefined where less than a 32nd would be saved. Bytes that cannot be compressed are not
 * looked for beforehand: zstd passes over them faster (1 to 2 GB/s) than a sample of them is judged here.
 */
export async function compress(bytes: Uint8Array, effort: Effort = 'dense'): Promise<Uint8Array | undefined> {
  const length = bytes.byteLength;
  const params = { [constants.ZSTD_c_compressionLevel]: levels[effort] };
  // Room for the largest result there is, so that it is made in one piece.
  const chunkSize = length + (length >>> 8) + 512;
  const packed =
    length < poolBytesMin
      ? zstdCompressSync(bytes, { params, chunkSize })
      : await compressInPool(bytes, { params, chunkSize });
  return packed.byteLength <= length - length / 32 ? packed : undefined;
}

/**
 * The inverse of `compress`.
 *
 * @throws CovaultError `E_CORRUPT` if the result has not exactly `length` bytes.
 */
export async function decompress(packed: Uint8Array, length: number): Promise<Uint8Array> {
  const options = { maxOutputLength: Math.max(length, 1), chunkSize: Math.max(length, 64) };
  let bytes: Uint8Array;
  try {
    bytes = length < poolBytesMin ? zstdDecompressSync(packed, options) : await decompressInPool(packed, options);
  } catch (cause) {
    throw new CovaultError('E_CORRUPT', 'compressed bytes cannot be decompressed', { cause });
  }
  if (bytes.byteLength === length) return bytes;
  throw new CovaultError('E_CORRUPT', `decompressed to ${bytes.byteLength} bytes instead of ${length}`);
}
