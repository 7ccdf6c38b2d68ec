/** The real files of the mount benchmark: small files of the installed packages, packed once and used on every side. */
import { copyFile, mkdir, readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runTimed } from '../measure.ts';

const fileBytesMax = 256 * 1024;
const partFiles = 3000;

/** The directories under the archive's top, each of 3,000 files. */
export const partNames = ['part-1', 'part-2', 'part-3'] as const;

export interface SourceTree {
  /** An uncompressed archive with one top directory, `tree`. */
  archive: string;
  files: number;
  bytes: number;
}

/** Packs 9,000 files of node_modules, each at most 256 KiB, into `directory`. */
export async function packSourceTree(directory: string): Promise<SourceTree> {
  const modules = join(dirname(fileURLToPath(import.meta.url)), '../../node_modules');
  const tree = join(directory, 'tree');
  const packed = await smallFiles(modules);
  let bytes = 0;
  let files = 0;
  for (const part of partNames) {
    for (let i = 0; i < partFiles; i++, files++) {
      // The packages hold fewer small files than wanted: some stand in two parts.
      const file = packed[files % packed.length];
      if (file === undefined) throw new Error(`${modules} holds no small file; run npm ci`);
      const target = join(tree, part, file.name);
      await mkdir(dirname(target), { recursive: true });
      await copyFile(join(modules, file.name), target);
      bytes += file.bytes;
    }
  }
  const archive = join(directory, 'tree.tar');
  await runTimed({ program: 'tar', args: ['-cf', archive, 'tree'], directory });
  await runTimed({ program: 'rm', args: ['-rf', tree], directory });
  return { archive, files, bytes };
}

async function smallFiles(modules: string): Promise<{ name: string; bytes: number }[]> {
  const found = [];
  for (const name of (await readdir(modules, { recursive: true })).sort()) {
    const status = await stat(join(modules, name)).catch(() => undefined);
    if (status?.isFile() && status.size <= fileBytesMax) found.push({ name, bytes: status.size });
  }
  return found;
}
