/** Coders of zstd that are used again and again. The door to zstd in node:zlib. */
import type { Transform } from 'node:stream';
import { constants, createZstdCompress, createZstdDecompress, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { invariant } from './errors.ts';

/**
 * Bytes of output that a coder makes room for at once. Results of at least half of that may be views of such a piece;
 * smaller ones get memory of their own, so that none holds on to much more than itself.
 */
const pieceBytes = 256 * 1024;

/** Logarithm of the largest window that is decompressed: our own have 21, and each coder may hold on to one. */
const windowLogMax = 23;

/** Coders of one kind at most: as many as there are threads that do the work. */
const codersMax = 4;

/**
 * Codes one input after the other, each on its own, some at once in the thread pool. A coder is a stream that is never
 * ended: to make one, with its tables, for every input costs more than to code what a small file has, and many times
 * the time on the calling thread.
 */
export class ZstdStreams {
  readonly #make: () => Transform;
  readonly #idle: Transform[] = [];
  readonly #waiting: ((coder: Transform) => void)[] = [];
  #count = 0;

  private constructor(make: () => Transform) {
    this.#make = make;
  }

  /** Each input becomes one frame that says how long its content is. */
  static compressing(level: number): ZstdStreams {
    const params = { [constants.ZSTD_c_compressionLevel]: level };
    return new ZstdStreams(() => createZstdCompress({ flush: constants.ZSTD_e_end, params, chunkSize: pieceBytes }));
  }

  /** Each input must be one frame, whole (`isOneFrame`): what is behind or missing would meet the next input. */
  static decompressing(): ZstdStreams {
    const params = { [constants.ZSTD_d_windowLogMax]: windowLogMax };
    return new ZstdStreams(() => createZstdDecompress({ params, chunkSize: pieceBytes }));
  }

  /**
   * What `input` becomes. It is not changed, and not used after the result.
   *
   * @throws Error if it cannot be coded, or becomes more than `bytesMax`; what is beyond that is not kept.
   */
  async run(input: Uint8Array, bytesMax: number): Promise<Uint8Array> {
    const coder = await this.#take();
    try {
      const output = await code(coder, input, bytesMax);
      this.#giveBack(coder);
      return output;
    } catch (error) {
      // It may be anywhere within a frame.
      coder.destroy();
      this.#giveBack(this.#makeOne());
      throw error;
    }
  }

  #take(): Transform | Promise<Transform> {
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle;
    if (this.#count < codersMax) {
      this.#count += 1;
      return this.#makeOne();
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #makeOne(): Transform {
    // Told again to who uses it; when nobody does, there is nobody to tell.
    return this.#make().on('error', () => undefined);
  }

  #giveBack(coder: Transform): void {
    const next = this.#waiting.shift();
    if (next) next(coder);
    else this.#idle.push(coder);
  }
}

/** One frame, made on the calling thread. */
export function compressAtOnce(input: Uint8Array, level: number): Uint8Array {
  // Room for the largest result there is, so that it is made in one piece.
  const chunkSize = input.byteLength + (input.byteLength >>> 8) + 512;
  return zstdCompressSync(input, { params: { [constants.ZSTD_c_compressionLevel]: level }, chunkSize });
}

/** What is in one frame, on the calling thread. @throws Error if it is damaged, or more than `bytesMax`. */
export function decompressAtOnce(input: Uint8Array, bytesMax: number): Uint8Array {
  const params = { [constants.ZSTD_d_windowLogMax]: windowLogMax };
  return zstdDecompressSync(input, {
    params,
    maxOutputLength: Math.max(bytesMax, 1),
    chunkSize: Math.max(bytesMax, 64),
  });
}

function code(coder: Transform, input: Uint8Array, bytesMax: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    let bytes = 0;
    const end = (error?: Error | null) => {
      coder.off('data', onData);
      coder.off('error', end);
      if (error || coder.destroyed) return reject(error ?? new Error('the coder was given up'));
      // A piece that came late would be taken for a part of the next result.
      invariant(coder.readableLength === 0, 'a coder has handed on all that it made');
      resolve(joined(pieces, bytes));
    };
    const onData = (piece: Buffer) => {
      bytes += piece.byteLength;
      if (bytes > bytesMax) end(new Error(`more than ${bytesMax} bytes`));
      else pieces.push(piece);
    };
    coder.on('data', onData);
    coder.on('error', end);
    coder.write(input, end);
  });
}

function joined(pieces: readonly Buffer[], bytes: number): Uint8Array {
  const [only] = pieces;
  if (only !== undefined && pieces.length === 1 && bytes * 2 >= pieceBytes) return only;
  return Buffer.concat(pieces, bytes);
}
