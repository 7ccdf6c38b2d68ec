/** Compares the bytes of two files, in pieces. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { checkInterrupted } from '../core/errors.ts';

export interface ContentComparison {
  /** Bytes that were compared. */
  bytes: number;
  /** What each side has where they first differ, for people. */
  difference?: { a: string; b: string };
}

const pieceBytes = 1024 * 1024;
const openFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * @param options.size bytes that both files have.
 * @throws the operating system's error, or CovaultError `E_INTERRUPTED` when aborted.
 */
export async function compareContents(
  pathA: Buffer,
  pathB: Buffer,
  options: { size: number; signal?: AbortSignal | undefined },
): Promise<ContentComparison> {
  if (options.size === 0) return { bytes: 0 };
  const a = await open(pathA, openFlags);
  try {
    const b = await open(pathB, openFlags);
    try {
      return await compareHandles(a, b, options);
    } finally {
      await b.close();
    }
  } finally {
    await a.close();
  }
}

async function compareHandles(
  a: FileHandle,
  b: FileHandle,
  { size, signal }: { size: number; signal?: AbortSignal | undefined },
): Promise<ContentComparison> {
  const bufferBytes = Math.min(size, pieceBytes);
  const [bufferA, bufferB] = [Buffer.allocUnsafe(bufferBytes), Buffer.allocUnsafe(bufferBytes)];
  for (let offset = 0; offset < size; offset += bufferBytes) {
    checkInterrupted(signal);
    const length = Math.min(bufferBytes, size - offset);
    const [pieceA, pieceB] = await Promise.all([
      readPiece(a, bufferA.subarray(0, length), offset),
      readPiece(b, bufferB.subarray(0, length), offset),
    ]);
    if (!pieceA.equals(pieceB)) return { bytes: offset, difference: describe(pieceA, pieceB, offset) };
  }
  return { bytes: size };
}

/** As much as fits into `buffer`, less only at the end of the file. */
async function readPiece(file: FileHandle, buffer: Buffer, offset: number): Promise<Buffer> {
  let filled = 0;
  while (filled < buffer.byteLength) {
    const { bytesRead } = await file.read(buffer, filled, buffer.byteLength - filled, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}

function describe(a: Buffer, b: Buffer, offset: number): { a: string; b: string } {
  let at = 0;
  while (at < a.byteLength && a[at] === b[at]) at += 1;
  const at16 = (piece: Buffer) => {
    const bytes = piece.subarray(at, at + 16);
    return bytes.byteLength === 0 ? `ends at byte ${offset + at}` : `${bytes.toString('hex')} at byte ${offset + at}`;
  };
  return { a: at16(a), b: at16(b) };
}
