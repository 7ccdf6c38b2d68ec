/**
 * The mount benchmark: in every round each sequence runs on every side in turn, medians at the end. It can be stopped
 * between two turns and goes on later.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Measurements, type Turn } from './measurements.ts';
import { type Prepared, prepare, writeBack } from './prepared.ts';
import { jsonFigures, markdownTable } from './report.ts';
import { type Side, type SideName, startSides } from './sides.ts';
import { type Sequence, sequences } from './workloads.ts';

export interface MountBenchOptions {
  json: boolean;
  markdown: boolean;
  rounds: number;
  /** Only sequences with a workload whose name contains this text. */
  only: string;
  storages: string[];
  sides: SideName[];
  dataMode: string | undefined;
  transport: string | undefined;
  passthroughHp: string | undefined;
  directory: string | undefined;
  /** Keeps what was measured; what it holds is not measured again. */
  record: string | undefined;
}

interface Bench extends MountBenchOptions {
  prepared: Prepared;
  measurements: Measurements;
  stopped: AbortSignal;
}

export async function benchMount(options: MountBenchOptions): Promise<void> {
  const { dataMode, transport, rounds, record } = options;
  const measurements = new Measurements(record, { dataMode, transport });
  const scratch = await mkdtemp(join(options.directory ?? tmpdir(), 'covault-bench-'));
  const stopped = stopOnSignal();
  try {
    const bench = { ...options, measurements, stopped, prepared: await prepare(scratch) };
    for (const storage of options.storages) {
      const base = storage === 'tmpfs' ? await mkdtemp('/dev/shm/covault-bench-') : join(scratch, storage);
      await mkdir(base, { recursive: true });
      try {
        await benchStorage(bench, storage, base);
      } finally {
        await rm(base, { recursive: true, force: true });
      }
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  if (stopped.aborted) process.stderr.write(`stopped: the figures are of fewer than ${rounds} rounds\n`);
  if (options.markdown) process.stdout.write(markdownTable(measurements.medians()));
  if (options.json) process.stdout.write(`${JSON.stringify({ workloads: jsonFigures(measurements.medians()) })}\n`);
}

/** The first SIGINT or SIGTERM ends the run after the turn under way; the next one kills. */
function stopOnSignal(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      process.stderr.write(`${signal}: ends after the turn under way\n`);
      controller.abort();
    });
  }
  return controller.signal;
}

async function benchStorage(bench: Bench, storage: string, base: string): Promise<void> {
  const chosen = sequences.filter(({ workloads }) => workloads.some((name) => name.includes(bench.only)));
  const sides = await startSides({ ...bench, base, state: join(base, 'covault-state') });
  try {
    for (let round = 0; round < bench.rounds; round++) {
      for (const sequence of chosen) {
        // Who comes first finds another cache and disk than who comes last, so each is first in turn.
        const order = sides.map((_, i) => sides[(i + round) % sides.length] as Side);
        for (const side of order) {
          const turn = { storage, sequence: sequence.name, side: side.name, round };
          if (bench.measurements.has(turn)) continue;
          if (bench.stopped.aborted) return;
          await takeTurn(bench, turn, sequence, side);
        }
      }
    }
  } finally {
    for (const side of sides) await side.stop();
  }
}

async function takeTurn(bench: Bench, turn: Turn, sequence: Sequence, side: Side): Promise<void> {
  const noted: Record<string, number> = {};
  const start = performance.now();
  try {
    await runOnce(sequence, side, turn.round, bench.prepared, noted);
  } catch (error) {
    if (bench.stopped.aborted) return; // a terminal's Ctrl-C ends what was measured, too
    if (side.name === 'bare' || side.name === 'covault' || side.name === 'indexing') throw error;
    const [first = ''] = error instanceof Error ? error.message.split('\n').slice(-2) : [String(error)];
    process.stderr.write(`${side.name} fails in ${sequence.name}, and is left out of what it did not do: ${first}\n`);
    await bench.prepared.dropCaches(); // so that it forgets what it holds
  }
  bench.measurements.add(turn, noted);
  const seconds = Object.entries(noted).map(([workload, value]) => `${workload} ${value.toFixed(3)}`);
  const all = ((performance.now() - start) / 1000).toFixed(1);
  process.stderr.write(`${turn.storage} ${turn.round + 1} ${side.name.padEnd(13)} ${all} s: ${seconds.join(', ')}\n`);
}

async function runOnce(
  sequence: Sequence,
  side: Side,
  round: number,
  prepared: Prepared,
  noted: Record<string, number>,
): Promise<void> {
  const place = join(side.directory, sequence.name);
  const directory = sequence.prepare ? place : join(place, String(round));
  const isNew = (await mkdir(directory, { recursive: true })) !== undefined;
  if (sequence.prepare && isNew) {
    await sequence.prepare({ ...prepared, directory });
    await side.settled();
  }
  await writeBack();
  await sequence.run({ ...prepared, directory }, (workload, seconds) => {
    noted[workload] = seconds;
  });
  if (!sequence.prepare) await rm(directory, { recursive: true });
  await side.settled();
}
