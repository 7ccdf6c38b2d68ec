/** What files weigh on a link: contents that occur twice once, and compressed as clients compress what they send. */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { pathOnDisk, type RealFile } from '../../scripts/demo/choose-files.ts';
import { compress } from '../../src/core/compression.ts';

export interface WeighedFile extends RealFile {
  /** Bytes after compression, in pieces as long as a block is on average. */
  wireBytes: number;
}

const pieceBytes = 256 * 1024;

/** The files with different contents, the first of equal ones. */
export async function weigh(folder: string, files: readonly RealFile[]): Promise<WeighedFile[]> {
  const met = new Set<string>();
  const weighed: WeighedFile[] = [];
  for (const file of files) {
    const { wireBytes, content } = await read(pathOnDisk(folder, file.path));
    if (met.has(content)) continue;
    met.add(content);
    weighed.push({ ...file, wireBytes });
  }
  return weighed;
}

async function read(path: Buffer): Promise<{ wireBytes: number; content: string }> {
  const hash = createHash('sha256');
  const piece = Buffer.alloc(pieceBytes);
  let wireBytes = 0;
  const file = await open(path);
  try {
    for (;;) {
      const { bytesRead } = await file.read(piece, 0, pieceBytes);
      if (bytesRead === 0) return { wireBytes, content: hash.digest('hex') };
      const bytes = piece.subarray(0, bytesRead);
      hash.update(bytes);
      wireBytes += (await compress(bytes))?.byteLength ?? bytesRead;
    }
  } finally {
    await file.close();
  }
}
