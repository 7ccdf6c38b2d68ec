/** The mount benchmark: every sequence on every side in turn, round by round, medians at the end. */
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { median, runTimed } from '../measure.ts';
import { type Figures, markdownTable } from './report.ts';
import { type Side, type SideName, startSides } from './sides.ts';
import { packSourceTree } from './source-tree.ts';
import { type Note, type Sequence, sequences, type WorkloadContext } from './workloads.ts';

export interface MountBenchOptions {
  json: boolean;
  markdown: boolean;
  rounds: number;
  /** Only sequences with a workload whose name contains this text. */
  only: string;
  storages: string[];
  indexing: boolean[];
  dataMode: string | undefined;
  transport: string | undefined;
  passthroughHp: string | undefined;
  directory: string | undefined;
}

const here = dirname(fileURLToPath(import.meta.url));

export async function benchMount(options: MountBenchOptions): Promise<void> {
  const scratch = await mkdtemp(join(options.directory ?? tmpdir(), 'covault-bench-'));
  const results: Record<string, Figures> = {};
  try {
    const shared = await prepareShared(scratch);
    for (const storage of options.storages) {
      const base = storage === 'tmpfs' ? await mkdtemp('/dev/shm/covault-bench-') : join(scratch, storage);
      await mkdir(base, { recursive: true });
      try {
        for (const indexing of options.indexing) {
          await benchStorage(storage, base, indexing, options, shared, results);
        }
      } finally {
        await rm(base, { recursive: true, force: true });
      }
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  if (options.markdown) process.stdout.write(markdownTable(results));
  if (options.json) process.stdout.write(`${JSON.stringify({ workloads: results })}\n`);
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
): Promise<void> {
  const place = join(base, indexing ? 'indexing' : 'plain');
  await mkdir(place);
  const sides = await startSides({ ...options, base: place, state: join(place, 'covault-state'), indexing });
  const prefix = `${storage}${indexing ? '+indexing' : ''}`;
  try {
    for (const sequence of sequences.filter(({ workloads }) => workloads.some((name) => name.includes(options.only)))) {
      const figures = await benchSequence(sequence, sides, options.rounds, shared);
      for (const [name, row] of figures) {
        results[`${prefix}/${name}`] = row;
        printRow(`${prefix}/${name}`, row);
      }
    }
  } finally {
    for (const side of sides) await side.stop();
    await rm(place, { recursive: true, force: true });
  }
}

async function benchSequence(
  sequence: Sequence,
  sides: Side[],
  rounds: number,
  shared: Shared,
): Promise<Map<string, Figures>> {
  const runs = new Map(sequence.workloads.map((name) => [name, new Map<SideName, number[]>()]));
  const running = new Set(sides);
  for (let round = 0; round < rounds; round++) {
    for (const side of running) {
      try {
        await runOnce(sequence, side, round, shared, (workload, seconds) => {
          const ofWorkload = runs.get(workload);
          ofWorkload?.set(side.name, [...(ofWorkload.get(side.name) ?? []), seconds]);
        });
      } catch (error) {
        if (side.name === 'bare' || side.name === 'covault') throw error;
        running.delete(side);
        const [first = ''] = error instanceof Error ? error.message.split('\n').slice(-2) : [String(error)];
        process.stderr.write(
          `${side.name} fails in ${sequence.name}, and is left out of what it did not do: ${first}\n`,
        );
        await shared.dropCaches(); // so that it forgets what it holds
      }
    }
  }
  for (const side of sides) await rm(join(side.directory, sequence.name), { recursive: true, force: true });
  const medians = (of: Map<SideName, number[]>): Figures =>
    Object.fromEntries([...of].map(([side, seconds]) => [side, median(seconds)]));
  return new Map([...runs].map(([name, of]) => [name, medians(of)]));
}

async function runOnce(sequence: Sequence, side: Side, round: number, shared: Shared, note: Note): Promise<void> {
  const place = join(side.directory, sequence.name);
  const directory = sequence.prepare ? place : join(place, String(round));
  await mkdir(directory, { recursive: true });
  if (round === 0) await sequence.prepare?.({ ...shared, directory });
  // What others have written must not be on its way to the disk meanwhile.
  await runTimed({ program: 'sync', args: [], directory: '/' });
  await sequence.run({ ...shared, directory }, note);
  if (!sequence.prepare) await rm(directory, { recursive: true });
  await side.settled();
}

function printRow(name: string, figures: Figures): void {
  const bare = figures.bare ?? Number.NaN;
  const cells = Object.entries(figures).map(([side, seconds]) => {
    return `${side} ${seconds.toFixed(4)} s (${(seconds / bare).toFixed(2)} x)`;
  });
  process.stderr.write(`${name.padEnd(28)} ${cells.join('   ')}\n`);
}
