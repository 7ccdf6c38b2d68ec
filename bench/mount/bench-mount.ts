/** The mount benchmark: every workload on every side in turn, round by round, medians and ratios at the end. */
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { median, runTimed } from '../measure.ts';
import { type Side, type SideName, startSides } from './sides.ts';
import { packSourceTree } from './source-tree.ts';
import { clearDirectory, type Workload, type WorkloadContext, workloads } from './workloads.ts';

export interface MountBenchOptions {
  json: boolean;
  rounds: number;
  /** Only workloads whose name contains this text. */
  only: string;
  storages: string[];
  indexing: boolean[];
  dataMode: string | undefined;
  transport: string | undefined;
  passthroughHp: string | undefined;
  directory: string | undefined;
}

/** Seconds of one workload on every side, medians over the rounds. */
export type Figures = Partial<Record<SideName, number>>;

const here = dirname(fileURLToPath(import.meta.url));

export async function benchMount(options: MountBenchOptions): Promise<void> {
  const scratch = await mkdtemp(join(options.directory ?? tmpdir(), 'covault-bench-'));
  const results: Record<string, Figures> = {};
  const memory: Record<string, number> = {};
  try {
    const shared = await prepareShared(scratch);
    for (const storage of options.storages) {
      const base = storage === 'tmpfs' ? await mkdtemp('/dev/shm/covault-bench-') : join(scratch, storage);
      await mkdir(base, { recursive: true });
      try {
        for (const indexing of options.indexing) {
          await benchStorage(storage, base, indexing, options, shared, results, memory);
        }
      } finally {
        await rm(base, { recursive: true, force: true });
      }
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  if (options.json) process.stdout.write(`${JSON.stringify({ workloads: results, residentMib: memory })}\n`);
}

type Shared = Pick<WorkloadContext, 'driver' | 'tree' | 'project' | 'dropCaches'>;

async function prepareShared(scratch: string): Promise<Shared> {
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
  const fill = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const env = { npm_config_cache: project.cache };
  await runTimed({ program: 'npm', args: fill, directory: project.directory, env });
  await rm(join(project.directory, 'node_modules'), { recursive: true });
  return { driver, project, tree: await packSourceTree(scratch), dropCaches };
}

async function dropCaches(): Promise<void> {
  await runTimed({ program: 'sync', args: [], directory: '/' });
  await writeFile('/proc/sys/vm/drop_caches', '3').catch(() => {
    // Only root may; a user's run reads from the cache on every side alike.
  });
}

async function benchStorage(
  storage: string,
  base: string,
  indexing: boolean,
  options: MountBenchOptions,
  shared: Shared,
  results: Record<string, Figures>,
  memory: Record<string, number>,
): Promise<void> {
  const place = join(base, indexing ? 'indexing' : 'plain');
  await mkdir(place);
  const sides = await startSides({ ...options, base: place, indexing });
  const prefix = `${storage}${indexing ? '+indexing' : ''}`;
  try {
    for (const workload of workloads.filter(({ name }) => name.includes(options.only))) {
      const figures = await benchWorkload(workload, sides, options.rounds, shared);
      results[`${prefix}/${workload.name}`] = figures;
      printRow(`${prefix}/${workload.name}`, figures);
    }
    for (const side of sides) {
      const mebibytes = await side.residentMib();
      if (mebibytes !== undefined) memory[`${prefix}/${side.name}`] = mebibytes;
    }
  } finally {
    for (const side of sides) await side.stop();
    await rm(place, { recursive: true, force: true });
  }
}

async function benchWorkload(workload: Workload, sides: Side[], rounds: number, shared: Shared): Promise<Figures> {
  const runs = new Map<SideName, number[]>(sides.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const side of sides) {
      const directory = join(side.directory, `${workload.name}-${round}`);
      await mkdir(directory);
      runs.get(side.name)?.push(await workload.run({ ...shared, directory }));
      await clearDirectory(directory);
    }
  }
  return Object.fromEntries([...runs].map(([name, seconds]) => [name, median(seconds)]));
}

function printRow(name: string, figures: Figures): void {
  const bare = figures.bare ?? Number.NaN;
  const cells = Object.entries(figures).map(([side, seconds]) => {
    return `${side} ${seconds.toFixed(3)} s (${(seconds / bare).toFixed(2)} x)`;
  });
  process.stderr.write(`${name.padEnd(28)} ${cells.join('   ')}\n`);
}
