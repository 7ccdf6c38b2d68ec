/**
 * Frames: how the answers to one request for many blocks (or objects) follow each other in a stream.
 *
 * | bytes | field |
 * |---|---|
 * | 1 | kind: 1 item, 2 absent, 3 failed, 4 end |
 * | 4 | position in the request that this answers, big endian; of an end frame: the number of frames before it |
 * | 4 | length of the payload, big endian; 0 for absent and end |
 * | length | payload: the item's bytes, or the encoded error of a failed frame |
 *
 * Frames may come in any order of positions. A stream ends with exactly one end or failed frame and nothing after it,
 * so that a stream cut short anywhere is told from a whole one.
 */
import { decode } from '../core/codec.ts';
import { CovaultError } from '../core/errors.ts';
import { encodeError, publicError, unpackError } from './protocol.ts';

export type Frame =
  /** The bytes asked for at this position; after decoding they belong to the receiver. */
  | { kind: 'item'; position: number; bytes: Uint8Array }
  /** The sender does not have what was asked for at this position. */
  | { kind: 'absent'; position: number };

const headerBytes = 9;
const kinds = { item: 1, absent: 2, failed: 3, end: 4 } as const;
const errorBytesMax = 64 * 1024;
/** Payloads up to this are allocated at once on the sender's word; larger ones grow as bytes arrive. */
const eagerBytesMax = 4 * 1024 * 1024;

/**
 * Writes frames as chunks of bytes: a header, then its payload as it is, not copied. Pulls one frame at a time. When
 * `frames` throws, the error becomes the last frame.
 */
export async function* encodeFrames(frames: AsyncIterable<Frame> | Iterable<Frame>): AsyncGenerator<Uint8Array> {
  let count = 0;
  try {
    for await (const frame of frames) {
      count += 1;
      if (frame.kind === 'absent') {
        yield header(kinds.absent, frame.position, 0);
      } else {
        yield header(kinds.item, frame.position, frame.bytes.byteLength);
        if (frame.bytes.byteLength > 0) yield frame.bytes;
      }
    }
  } catch (error) {
    const payload = encodeError(publicError(error));
    yield header(kinds.failed, count, payload.byteLength);
    yield payload;
    return;
  }
  yield header(kinds.end, count, 0);
}

/**
 * Reads frames out of chunks cut anywhere. Holds one payload at a time and reads no chunk before it is needed.
 *
 * @param options.payloadBytesMax largest payload accepted.
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
      } else {
        throw corrupt(`a frame of kind ${kind} with ${length} bytes`);
      }
    }
  } finally {
    await reader.close();
  }
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

  /** The next `count` bytes, in memory of their own. */
  async take(count: number): Promise<Uint8Array> {
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
