/** Compression of blocks and objects: zstd (RFC 8878) through node:zlib, the only user of it. */
import { promisify } from 'node:util';
import { constants, zstdCompress, zstdCompressSync, zstdDecompress, zstdDecompressSync } from 'node:zlib';
import { CovaultError } from '../core/errors.ts';

const compressInPool = promisify(zstdCompress);
const decompressInPool = promisify(zstdDecompress);

/**
 * From this size in bytes on, work goes to the thread pool; below, the way there and back costs more than the work
 * (about 30 µs for 1.5 KiB, measured).
 */
const poolBytesMin = 16 * 1024;

/** Level 3: level 1 is hardly faster in pieces of this size, level 6 takes 2.4 times as long for 1 to 2 % less. */
const params = { [constants.ZSTD_c_compressionLevel]: 3 };

/** Bits of entropy per byte, seen in a sample, from which trying to compress is a waste (8 is random). */
const entropyBitsMax = 7.9;
const sampleBytes = 16 * 1024;
const samplePieces = 4;

/**
 * `bytes` compressed, or undefined where that does not help: where a sample looks random (trying costs 2 ms per 256
 * KiB, more than for text), or where less than a 32nd would be saved.
 */
export async function compress(bytes: Uint8Array): Promise<Uint8Array | undefined> {
  if (looksRandom(bytes)) return undefined;
  const packed =
    bytes.byteLength < poolBytesMin
      ? zstdCompressSync(bytes, { params })
      : await compressInPool(bytes, { params, chunkSize: bytes.byteLength });
  return packed.byteLength <= bytes.byteLength - bytes.byteLength / 32 ? packed : undefined;
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

/**
 * Whether a sample from all over `bytes` has the entropy of random or already compressed data. Short blocks are never
 * taken for random: too few bytes to tell.
 */
export function looksRandom(bytes: Uint8Array): boolean {
  if (bytes.byteLength < sampleBytes) return false;
  const counts = new Uint32Array(256);
  const pieceBytes = sampleBytes / samplePieces;
  const step = Math.floor((bytes.byteLength - pieceBytes) / (samplePieces - 1));
  for (let piece = 0; piece < samplePieces; piece++) {
    for (const byte of bytes.subarray(piece * step, piece * step + pieceBytes)) counts[byte] = (counts[byte] ?? 0) + 1;
  }
  let bits = 0;
  for (const count of counts) if (count > 0) bits -= (count / sampleBytes) * Math.log2(count / sampleBytes);
  return bits > entropyBitsMax;
}
