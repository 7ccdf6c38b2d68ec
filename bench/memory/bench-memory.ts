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

/** Resident memory of the daemon in MiB. */
interface Resident {
  /** The process's own. */
  anonymous: number;
  /** Pages of files: the program, and those of the index's tables that are in the kernel's cache, which gives them up for others. */
  file: number;
}

interface MemoryFigures {
  mounted: Resident;
  /** After every file was looked up. */
  lookedUp: Resident;
  /** When the index had nothing more to do. */
  settled: Resident;
  /** After each round of churn. */
  churn: Resident[];
  /** Of each the most that was seen, ten times a second. */
  peak: Resident;
}

const churnFiles = 20_000;
const watchPauseMs = 100;
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
  for (const [indexing, figures] of Object.entries(results))
    process.stderr.write(`indexing ${indexing}: ${said(figures)}\n`);
  if (options.json) process.stdout.write(`${JSON.stringify({ memory: results })}\n`);
}

function said({ mounted, lookedUp, settled, churn, peak }: MemoryFigures): string {
  const say = ({ anonymous, file }: Resident) => `${anonymous} + ${file}`;
  return (
    `MiB of its own + of files: ${say(mounted)} when mounted, ${say(lookedUp)} with all looked up, ` +
    `${say(settled)} at rest, ${churn.map(say).join(', ')} over churn, ${say(peak)} at most`
  );
}

async function measure(
  side: Side,
  { files, churnRounds }: MemoryBenchOptions,
  drive: (workload: string, directory: string, count: number) => Promise<void>,
): Promise<MemoryFigures> {
  const peak: Resident = { anonymous: 0, file: 0 };
  const look = async (): Promise<Resident> => {
    const now = await residentOf(side);
    peak.anonymous = Math.max(peak.anonymous, now.anonymous);
    peak.file = Math.max(peak.file, now.file);
    return now;
  };
  // What a daemon that is gone leaves unsaid, the next figure tells.
  const watching = setInterval(() => look().catch(() => undefined), watchPauseMs);
  try {
    const mounted = await look();
    await drive('look-up', join(side.directory, 'seen'), files);
    const lookedUp = await look();
    await atRest(side);
    const settled = await look();
    const churn: Resident[] = [];
    for (let round = 0; round < churnRounds; round++) {
      const directory = join(side.directory, 'churn');
      for (const workload of ['create-empty', 'rename', 'unlink']) await drive(workload, directory, churnFiles);
      await atRest(side);
      await rm(directory, { recursive: true });
      churn.push(await look());
    }
    return { mounted, lookedUp, settled, churn, peak };
  } finally {
    clearInterval(watching);
  }
}

/** Waits until the daemon has nothing to do, however long that takes. */
async function atRest(side: Side): Promise<void> {
  while (!(await side.settled()));
}

async function residentOf(side: Side): Promise<Resident> {
  const status = await readFile(`/proc/${side.pid}/status`, 'utf8');
  const mebibytes = (field: string) =>
    Math.round(Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) / 1024);
  return { anonymous: mebibytes('RssAnon'), file: mebibytes('RssFile') };
}
