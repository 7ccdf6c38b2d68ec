/** Which of the installed packages' files each client of the demo holds: all, or a fixed share of them. */
import { lstatSync, readdirSync } from 'node:fs';

export interface RealFile {
  /** Relative to the folder that was walked; a character for each byte (latin1). See `pathOnDisk`. */
  path: string;
  kind: 'file' | 'symlink';
  bytes: number;
  /** Equal for the names of one file. */
  identity: string;
}

/** All files and symlinks below `folder`, in ascending order of their paths. */
export function listRealFiles(folder: string): RealFile[] {
  const found: RealFile[] = [];
  const visit = (below: string) => {
    for (const name of readdirSync(pathOnDisk(folder, below), 'latin1').sort()) {
      const path = below === '' ? name : `${below}/${name}`;
      const stats = lstatSync(pathOnDisk(folder, path), { bigint: true });
      if (stats.isDirectory()) visit(path);
      else if (stats.isFile()) found.push({ path, kind: 'file', bytes: Number(stats.size), identity: `${stats.ino}` });
      else if (stats.isSymbolicLink()) found.push({ path, kind: 'symlink', bytes: 0, identity: `${stats.ino}` });
    }
  };
  visit('');
  return found;
}

/** The bytes of a path below `folder`, whatever is in its names. */
export function pathOnDisk(folder: string, path: string): Buffer {
  return Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(path, 'latin1')]);
}

export interface Share {
  /** Of ten files of similar size, how many. */
  ofTen: number;
  /** Shifts the choice, so that two clients do not hold the same files. */
  phase: number;
}

/**
 * An even choice: sorted by size, of any ten neighbours `ofTen` are taken. All names of one file go together.
 */
export function chooseFiles(files: readonly RealFile[], { ofTen, phase }: Share): RealFile[] {
  const identities = new Map<string, RealFile>();
  for (const file of files) if (!identities.has(file.identity)) identities.set(file.identity, file);
  const bySize = [...identities.values()].sort((a, b) => b.bytes - a.bytes || (a.path < b.path ? -1 : 1));
  const taken = new Set(
    bySize
      .filter((_, rank) => steps(rank + 1, ofTen, phase) > steps(rank, ofTen, phase))
      .map(({ identity }) => identity),
  );
  return files.filter(({ identity }) => taken.has(identity));
}

function steps(rank: number, ofTen: number, phase: number): number {
  return Math.floor((rank * ofTen + phase) / 10);
}
