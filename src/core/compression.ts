/** Compression of blocks and objects: zstd (RFC 8878). */
import { CovaultError } from './errors.ts';
import { isOneFrame } from './zstd-frame.ts';
import { ZstdStreams } from './zstd-streams.ts';

/**
 * `dense` is level 3, the default of zstd. In pieces of 256 KiB, level 1 (`fast`) takes half to three quarters of the
 * time and 7 to 8 % more space, level 6 twice the time for 1 to 2 % less.
 */
const compressors = { fast: ZstdStreams.compressing(1), dense: ZstdStreams.compressing(3) } as const;
const decompressors = ZstdStreams.decompressing();
export type Effort = keyof typeof compressors;

/**
 * `bytes` compressed, or undefined where less than a 32nd would be saved. Bytes that cannot be compressed are not
 * looked for beforehand: zstd passes over them faster (1 to 2 GB/s) than a sample of them is judged here.
 */
export async function compress(bytes: Uint8Array, effort: Effort = 'dense'): Promise<Uint8Array | undefined> {
  const packed = await compressors[effort].run(bytes, Number.POSITIVE_INFINITY);
  return packed.byteLength <= bytes.byteLength - bytes.byteLength / 32 ? packed : undefined;
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
    bytes = await decompressors.run(packed, length);
  } catch (cause) {
    throw new CovaultError('E_CORRUPT', 'compressed bytes cannot be decompressed', { cause });
  }
  if (bytes.byteLength === length) return bytes;
  throw new CovaultError('E_CORRUPT', `decompressed to ${bytes.byteLength} bytes instead of ${length}`);
}
