/** What every side needs and is made once: the driver, the archive of real files, and a package project with its cache. */
import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runTimed } from '../measure.ts';
import { packSourceTree } from './source-tree.ts';
import { npmCi, type WorkloadContext } from './workloads.ts';

export type Prepared = Omit<WorkloadContext, 'directory'>;

const here = dirname(fileURLToPath(import.meta.url));

export async function prepare(scratch: string): Promise<Prepared> {
  const driver = join(scratch, 'driver');
  await runTimed({
    program: 'c++',
    args: ['-std=c++20', '-O2', join(here, 'driver.cc'), '-o', driver],
    directory: scratch,
  });
  const project = { directory: join(scratch, 'project'), cache: join(scratch, 'npm-cache') };
  await mkdir(project.directory);
  for (const file of ['package.json', 'package-lock.json']) {
    await copyFile(join(here, '../..', file), join(project.directory, file));
  }
  const env = { npm_config_cache: project.cache };
  await runTimed({ program: 'npm', args: [...npmCi], directory: project.directory, env });
  await rm(join(project.directory, 'node_modules'), { recursive: true });
  return { driver, project, tree: await packSourceTree(scratch), dropCaches };
}

async function dropCaches(): Promise<void> {
  await writeBack();
  await writeFile('/proc/sys/vm/drop_caches', '3').catch(() => {
    // Only root may; a user's run reads from the cache on every side alike.
  });
}

/** What others have written must not be on its way to the disk while something is measured. */
export async function writeBack(): Promise<void> {
  await runTimed({ program: 'sync', args: [], directory: '/' });
}
