/**
 * Frames: how the answers to one request for many blocks (or objects) follow each other in a stream.
 *
 * | bytes | field |
 * |---|---|
 * | 1 | kind: 1 item, 2 absent, 3 failed, 4 end, 5 packed item |
 * | 4 | position in the request that this answers, big endian; of an end frame: the number of frames before it |
 * | 4 | length of the payload, big endian; 0 for absent and end |
 * | length | payload: the item's bytes, or the encoded error of a failed frame; of a packed item: its length, 4 bytes big
 * endian, and the item as a zstd frame |
 *
 * Frames may come in any order of positions. A stream ends with exactly one end or failed frame and nothing after it,
 * so that a stream cut short anywhere is told from a whole one. Packed items are sent only to who asks for them.
 */

import { decode } from '../core/codec.ts';
import { compress, decompress } from '../core/compression.ts';
import { CovaultError } from '../core/errors.ts';
import { encodeError, publicError, unpackError } from './protocol.ts';

export type Frame =
  /** The bytes asked for at this position, and what they came as if packed; after decoding both belong to the receiver. */
  | { kind: 'item'; position: number; bytes: Uint8Array; packed?: Uint8Array }
  /** The sender does not have what was asked for at this position. */
  | { kind: 'absent'; position: number };

/** No frame, but that none is ready yet: what waits for company goes out alone. Who decodes does not see it. */
export interface Wait {
  kind: 'wait';
}

/** An item on its way, compressed; who decodes sees an item. */
export interface PackedFrame {
  kind: 'packed';
  position: number;
  /** Bytes of the item. */
  length: number;
  packed: Uint8Array;
}

const headerBytes = 9;
const kinds = { item: 1, absent: 2, failed: 3, end: 4, packed: 5 } as const;
const packedHeaderBytes = 4;
/** From here on, whatever compression saves (a 32nd at least) is more than the header of a packed item. */
const packedBytesMin = 256;
const errorBytesMax = 64 * 1024;
/** Smaller pieces are sent together with others, up to about so many bytes. */
const chunkBytes = 32 * 1024;
/** Payloads up to this are allocated at once on the sender's word; larger ones grow as bytes arrive. */
const eagerBytesMax = 4 * 1024 * 1024;

/**
 * Writes frames as chunks of bytes: small ones together, as far as nobody has to wait for them, large payloads as they are,
 * not copied. Pulls one frame at a time. When `frames` throws, the error becomes the last frame.
 */
export async function* encodeFrames(
  frames: AsyncIterable<Frame | PackedFrame | Wait> | Iterable<Frame | PackedFrame | Wait>,
): AsyncGenerator<Uint8Array> {
  const gathered = new Gatherer();
  let count = 0;
  try {
    for await (const frame of frames) {
      if (frame.kind === 'wait') {
        yield* gathered.rest();
        continue;
      }
      count += 1;
      if (frame.kind === 'absent') {
        yield* gathered.take(header(kinds.absent, frame.position, 0));
      } else if (frame.kind === 'packed') {
        yield* gathered.take(packedHeader(frame), frame.packed);
      } else {
        yield* gathered.take(header(kinds.item, frame.position, frame.bytes.byteLength), frame.bytes);
      }
    }
    yield* gathered.take(header(kinds.end, count, 0));
  } catch (error) {
    const payload = encodeError(publicError(error));
    yield* gathered.take(header(kinds.failed, count, payload.byteLength), payload);
  }
  yield* gathered.rest();
}

/** Puts small pieces together: each chunk is a message of HTTP, a record of TLS and a call of the system. */
class Gatherer {
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  /** Chunks that are ready with these pieces. */
  *take(...pieces: readonly Uint8Array[]): Generator<Uint8Array> {
    for (const piece of pieces) {
      if (piece.byteLength >= chunkBytes) {
        yield* this.rest();
        yield piece;
        continue;
      }
      this.#pieces.push(piece);
      this.#bytes += piece.byteLength;
      if (this.#bytes >= chunkBytes) yield* this.rest();
    }
  }

  /** What is left, if anything. */
  *rest(): Generator<Uint8Array> {
    if (this.#bytes > 0) yield Buffer.concat(this.#pieces, this.#bytes);
    this.#pieces = [];
    this.#bytes = 0;
  }
}

/**
 * An item as a frame that is smaller on the wire, where compression saves anything. Works in the thread pool.
 *
 * @param item.bytes not changed, and not used after the result.
 */
export async function packItem(item: { position: number; bytes: Uint8Array }): Promise<Frame | PackedFrame> {
  const { position, bytes } = item;
  const packed = bytes.byteLength < packedBytesMin ? undefined : await compress(bytes);
  if (packed === undefined) return { kind: 'item', position, bytes };
  return { kind: 'packed', position, length: bytes.byteLength, packed };
}

/**
 * Reads frames out of chunks cut anywhere. Holds one payload at a time and reads no chunk before it is needed. Packed
 * items come out as items.
 *
 * @param options.payloadBytesMax largest payload accepted, packed or not.
 * @param options.positions how many things were asked for: every position must be below it.
 * @throws CovaultError `E_CORRUPT` for anything but a well-formed whole stream; the sender's own error if it failed.
 */
export async function* decodeFrames(
  chunks: AsyncIterable<Uint8Array>,
  options: { payloadBytesMax: number; positions: number },
): AsyncGenerator<Frame> {
  const reader = new ByteReader(chunks);
  try {
    for (let count = 0; ; count += 1) {
      const { kind, position, length } = parseHeader(await reader.take(headerBytes));
      if (kind === kinds.end) {
        if (position !== count || length !== 0) throw corrupt(`the end frame counts ${position} frames, not ${count}`);
        await reader.expectEnd();
        return;
      }
      if (kind === kinds.failed) {
        if (length > errorBytesMax) throw corrupt('an error frame is too large');
        throw unpackError(decode(await reader.take(length), 'error frame'));
      }
      if (position >= options.positions) throw corrupt(`nothing was asked for at position ${position}`);
      if (kind === kinds.absent && length === 0) {
        yield { kind: 'absent', position };
      } else if (kind === kinds.item && length <= options.payloadBytesMax) {
        yield { kind: 'item', position, bytes: await reader.take(length) };
      } else if (kind === kinds.packed && length > packedHeaderBytes && length <= options.payloadBytesMax) {
        yield { kind: 'item', position, ...(await unpackItem(await reader.take(length), options.payloadBytesMax)) };
      } else {
        throw corrupt(`a frame of kind ${kind} with ${length} bytes`);
      }
    }
  } finally {
    await reader.close();
  }
}

/** @throws CovaultError `E_CORRUPT` unless the payload has exactly the length that it names, `lengthMax` at most. */
async function unpackItem(payload: Uint8Array, lengthMax: number): Promise<{ bytes: Uint8Array; packed: Uint8Array }> {
  const length = new DataView(payload.buffer, payload.byteOffset).getUint32(0);
  if (length > lengthMax) throw corrupt(`a packed item of ${length} bytes`);
  const packed = payload.subarray(packedHeaderBytes);
  return { bytes: await decompress(packed, length), packed };
}

function packedHeader({ position, packed, length }: PackedFrame): Uint8Array {
  const bytes = Buffer.alloc(headerBytes + packedHeaderBytes);
  bytes.set(header(kinds.packed, position, packedHeaderBytes + packed.byteLength));
  bytes.writeUInt32BE(length, headerBytes);
  return bytes;
}

function corrupt(message: string): CovaultError {
  return new CovaultError('E_CORRUPT', `stream of frames: ${message}`);
}

function header(kind: number, position: number, length: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(headerBytes);
  bytes.writeUInt8(kind, 0);
  bytes.writeUInt32BE(position, 1);
  bytes.writeUInt32BE(length, 5);
  return bytes;
}

function parseHeader(bytes: Uint8Array): { kind: number; position: number; length: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return { kind: view.getUint8(0), position: view.getUint32(1), length: view.getUint32(5) };
}

/** Takes exact counts of bytes out of chunks of any size. */
class ByteReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #chunk: Uint8Array = new Uint8Array(0);

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** The next `count` bytes, in memory that nobody else writes to. */
  async take(count: number): Promise<Uint8Array> {
    if (count <= this.#chunk.byteLength) {
      const bytes = this.#chunk.subarray(0, count);
      this.#chunk = this.#chunk.subarray(count);
      return bytes;
    }
    let bytes = Buffer.allocUnsafeSlow(Math.min(count, eagerBytesMax));
    let filled = 0;
    while (filled < count) {
      if (this.#chunk.byteLength === 0 && !(await this.#next())) throw corrupt('it was cut short');
      if (filled === bytes.byteLength) bytes = grown(bytes, Math.min(count, 2 * filled));
      const part = this.#chunk.subarray(0, bytes.byteLength - filled);
      bytes.set(part, filled);
      filled += part.byteLength;
      this.#chunk = this.#chunk.subarray(part.byteLength);
    }
    return bytes;
  }

  async expectEnd(): Promise<void> {
    while (this.#chunk.byteLength === 0) {
      if (!(await this.#next())) return;
    }
    throw corrupt('bytes follow its end');
  }

  /** Stops reading; the source is freed. */
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }

  async #next(): Promise<boolean> {
    const next = await this.#chunks.next();
    if (next.done) return false;
    this.#chunk = next.value;
    return true;
  }
}

function grown(bytes: Buffer, byteLength: number): Buffer<ArrayBuffer> {
  const larger = Buffer.allocUnsafeSlow(byteLength);
  larger.set(bytes);
  return larger;
}
