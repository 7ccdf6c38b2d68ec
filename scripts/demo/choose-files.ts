/** Which of the installed packages' files each client of the demo holds: all, or a fixed share of them. */
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

export interface RealFile {
  /** Relative to the folder that was walked. */
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
    for (const name of readdirSync(join(folder, below)).sort()) {
      const path = below === '' ? name : `${below}/${name}`;
      const stats = lstatSync(join(folder, path), { bigint: true });
      if (stats.isDirectory()) visit(path);
      else if (stats.isFile()) found.push({ path, kind: 'file', bytes: Number(stats.size), identity: `${stats.ino}` });
      else if (stats.isSymbolicLink()) found.push({ path, kind: 'symlink', bytes: 0, identity: `${stats.ino}` });
    }
  };
  visit('');
  return found;
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
