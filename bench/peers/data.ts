/** Which real files each host of the benchmark holds. */
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import { listRealFiles, pathOnDisk, type RealFile } from '../../scripts/demo/choose-files.ts';
import { type WeighedFile, weigh } from './weigh.ts';

export interface SharedFile extends WeighedFile {
  /** Peers that hold it, positions in their list; none: the source alone. */
  peers: number[];
}

export interface Layout {
  /** Part of the source's bytes that peers hold. */
  held: number;
  /** How many peers hold each of those files. */
  copies: number;
  peers: number;
}

/** Smaller ones are a few percent of the bytes, and most of the time that setting up and comparing would take. */
const fileBytesMin = 4096;

/** Real files of `folder` for the source, an even choice over all sizes, about `bytes` of them. */
export async function chooseFiles(folder: string, bytes: number): Promise<WeighedFile[]> {
  // A single file that outweighs the others would decide who holds how much.
  const isFitting = (file: RealFile) => file.bytes >= fileBytesMin && file.bytes <= bytes / 16;
  const fitting = oneNameEach(listRealFiles(folder)).filter(isFitting);
  return weigh(folder, spread(fitting, bytes));
}

/**
 * Which peers hold each of the source's files. Deterministic. Files are taken whole, so that bytes are met to about one
 * percent.
 */
export function layOut(files: readonly WeighedFile[], { held, copies, peers }: Layout): SharedFile[] {
  let total = 0;
  let shared = 0;
  return files.map((file, rank) => {
    total += file.bytes;
    const isHeld = held === 1 || shared + file.bytes / 2 < held * total;
    if (isHeld) shared += file.bytes;
    const first = rank % peers;
    return { ...file, peers: isHeld ? Array.from({ length: copies }, (_, copy) => (first + copy) % peers) : [] };
  });
}

function oneNameEach(files: readonly RealFile[]): RealFile[] {
  const distinct = new Map(files.filter(({ kind }) => kind === 'file').map((file) => [file.identity, file]));
  return [...distinct.values()].sort((a, b) => b.bytes - a.bytes || (a.path < b.path ? -1 : 1));
}

/** Of files in order of size, evenly as many as make up `bytes`. @throws Error if all together are fewer. */
function spread(files: readonly RealFile[], bytes: number): RealFile[] {
  const all = files.reduce((sum, file) => sum + file.bytes, 0);
  if (all < bytes)
    throw new Error(`the folder has ${all} bytes in files, ${bytes} are needed: name another with --files`);
  let seen = 0;
  let taken = 0;
  return files.filter((file) => {
    seen += file.bytes;
    if (taken + file.bytes / 2 >= (bytes / all) * seen) return false;
    taken += file.bytes;
    return true;
  });
}

export function copyInto(directory: string, folder: string, files: readonly RealFile[]): void {
  const made = new Set<string>();
  for (const { path } of files) {
    const parent = dirname(path);
    if (!made.has(parent)) fs.mkdirSync(pathOnDisk(join(directory, 'files'), parent), { recursive: true });
    made.add(parent);
    fs.copyFileSync(pathOnDisk(folder, path), pathOnDisk(join(directory, 'files'), path));
  }
}
