/** The real files of the mount benchmark: small files of the installed packages, packed once and used on every side. */
import { copyFile, mkdir, readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runTimed } from '../measure.ts';

const fileCount = 9000;
const fileBytesMax = 256 * 1024;

export interface SourceTree {
  /** An uncompressed archive with one top directory, `tree`. */
  archive: string;
  files: number;
  bytes: number;
}

/** Packs up to 9,000 files of node_modules, each at most 256 KiB, into `directory`. */
export async function packSourceTree(directory: string): Promise<SourceTree> {
  const modules = join(dirname(fileURLToPath(import.meta.url)), '../../node_modules');
  const tree = join(directory, 'tree');
  const names = (await readdir(modules, { recursive: true })).sort();
  let files = 0;
  let bytes = 0;
  // The packages hold fewer small files than wanted: further copies stand in directories of their own.
  for (let copy = 0; files < fileCount; copy++) {
    for (const name of names) {
      if (files >= fileCount) break;
      const found = await stat(join(modules, name)).catch(() => undefined);
      if (!found?.isFile() || found.size > fileBytesMax) continue;
      const target = join(tree, `copy-${copy}`, name);
      await mkdir(dirname(target), { recursive: true });
      await copyFile(join(modules, name), target);
      files++;
      bytes += found.size;
    }
  }
  const archive = join(directory, 'tree.tar');
  await runTimed({ program: 'tar', args: ['-cf', archive, 'tree'], directory });
  await runTimed({ program: 'rm', args: ['-rf', tree], directory });
  return { archive, files, bytes };
}
