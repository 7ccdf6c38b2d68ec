/** Resident memory of the mount's daemon: with many files looked up, and over rounds of churn. */
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runTimed } from '../measure.ts';
import { type Side, startCovault } from '../mount/sides.ts';

export interface MemoryBenchOptions {
  json: boolean;
  files: number;
  churnRounds: number;
  indexing: boolean[];
  directory: string;
  state: string | undefined;
}

/** Resident set of the daemon, MiB. */
interface MemoryFigures {
  mounted: number;
  /** After every file was looked up, and the index had nothing more to do. */
  lookedUp: number;
  /** After each round of churn. */
  churn: number[];
  peak: number;
}

const churnFiles = 20_000;
const here = dirname(fileURLToPath(import.meta.url));

export async function benchMemory(options: MemoryBenchOptions): Promise<void> {
  const scratch = await mkdtemp(join(options.state ?? tmpdir(), 'covault-bench-memory-'));
  const base = await mkdtemp(join(options.directory, 'covault-bench-memory-'));
  const results: Record<string, MemoryFigures> = {};
  try {
    const driver = join(scratch, 'driver');
    const source = join(here, '../mount/driver.cc');
    await runTimed({ program: 'c++', args: ['-std=c++20', '-O2', source, '-o', driver], directory: scratch });
    const drive = async (workload: string, directory: string, count: number): Promise<void> => {
      await mkdir(directory, { recursive: true });
      await runTimed({ program: driver, args: [workload, directory, String(count)], directory: '/' });
    };
    await drive('create-empty', join(base, 'data/seen'), options.files);
    for (const indexing of options.indexing) {
      const state = join(scratch, indexing ? 'indexing' : 'plain');
      const side = await startCovault(indexing ? 'indexing' : 'covault', join(base, 'data'), {
        state,
        dataMode: undefined,
        transport: undefined,
      });
      try {
        results[indexing ? 'on' : 'off'] = await measure(side, options, drive);
      } finally {
        await side.stop();
      }
    }
  } finally {
    await runTimed({ program: 'rm', args: ['-rf', base, scratch], directory: '/' });
    await rm(scratch, { recursive: true, force: true });
  }
  for (const [indexing, { mounted, lookedUp, churn, peak }] of Object.entries(results)) {
    process.stderr.write(
      `indexing ${indexing}: ${mounted} MiB when mounted, ${lookedUp} MiB with ${options.files} files looked up, ` +
        `${churn.join(' ')} MiB over churn, ${peak} MiB at most\n`,
    );
  }
  if (options.json) process.stdout.write(`${JSON.stringify({ memory: results })}\n`);
}

async function measure(
  side: Side,
  { files, churnRounds }: MemoryBenchOptions,
  drive: (workload: string, directory: string, count: number) => Promise<void>,
): Promise<MemoryFigures> {
  const mounted = await residentMib(side, 'VmRSS');
  await drive('look-up', join(side.directory, 'seen'), files);
  await side.settled();
  const lookedUp = await residentMib(side, 'VmRSS');
  const churn: number[] = [];
  for (let round = 0; round < churnRounds; round++) {
    const directory = join(side.directory, 'churn');
    for (const workload of ['create-empty', 'rename', 'unlink']) await drive(workload, directory, churnFiles);
    await side.settled();
    await rm(directory, { recursive: true });
    churn.push(await residentMib(side, 'VmRSS'));
  }
  return { mounted, lookedUp, churn, peak: await residentMib(side, 'VmHWM') };
}

async function residentMib(side: Side, field: 'VmRSS' | 'VmHWM'): Promise<number> {
  const status = await readFile(`/proc/${side.pid}/status`, 'utf8');
  const kibibytes = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1];
  return Math.round(Number(kibibytes) / 1024);
}
