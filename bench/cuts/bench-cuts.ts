/**
 * What cuts cost those who write. Many cuts while fio writes at random places and archives are unpacked and removed: for how
 * long changes are held up, and how long the kernel flushes before (which holds up nobody). And the first write to a part
 * of a file while a cut is open, beside the same write without one, and on the bare directory.
 */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { runTimed } from '../measure.ts';
import { packSourceTree } from '../mount/source-tree.ts';
import type { CutReport, Order } from './cut-daemon.ts';

export interface CutsBenchOptions {
  json: boolean;
  cuts: number;
  openMs: number;
  dataMode: string | undefined;
  directory: string | undefined;
}

/** Writes of the second part: 4 KiB each in another 64 KiB, the unit in which content is kept. */
const strideWrites = 4000;

/** Until the writers are at work, milliseconds. */
const warmUpMs = 1000;

export async function benchCuts(options: CutsBenchOptions): Promise<void> {
  const scratch = await mkdtemp(join(options.directory ?? tmpdir(), 'covault-bench-'));
  const [data, mountpoint, bare] = [join(scratch, 'data'), join(scratch, 'mountpoint'), join(scratch, 'bare')];
  for (const place of [data, mountpoint, bare]) await mkdir(place);
  const { archive } = await packSourceTree(scratch);
  const daemon = await CutDaemon.start([data, mountpoint, ...(options.dataMode ? [options.dataMode] : [])]);
  try {
    const held = await underLoad(daemon, mountpoint, archive, options);
    const firstWrite = await firstWrites(daemon, mountpoint, bare);
    print(held, firstWrite);
    if (options.json) process.stdout.write(`${JSON.stringify({ ...held, firstWrite })}\n`);
  } finally {
    await daemon.stop();
    await rm(scratch, { recursive: true, force: true });
  }
}

interface Spread {
  p50: number;
  p99: number;
  max: number;
}

interface Held {
  cuts: number;
  failed: number;
  /** Milliseconds. */
  heldMs: Spread;
  /** The longest that any change waited. */
  waitedMaxMs: number;
  flushMs: Spread;
  /** Writes that fio made meanwhile, per second, and the archives unpacked. */
  writesPerSecond: number;
  archives: number;
  keptMibMax: number;
}

async function underLoad(
  daemon: CutDaemon,
  mountpoint: string,
  archive: string,
  { cuts, openMs }: CutsBenchOptions,
): Promise<Held> {
  const fill = ['--name=fill', '--filename=random', '--size=256m', '--rw=write', '--bs=1m', '--ioengine=psync'];
  await runTimed({ program: 'fio', args: fill, directory: mountpoint });
  const load = new Load(mountpoint, archive);
  await delay(warmUpMs);
  const reports: CutReport[] = [];
  const start = performance.now();
  try {
    while (reports.length < cuts) reports.push(await daemon.order({ kind: 'cut', openMs }));
  } finally {
    await load.stop();
  }
  const seconds = (performance.now() - start) / 1000;
  return {
    cuts,
    failed: reports.filter(({ failure }) => failure !== '').length,
    heldMs: spread(reports.map(({ heldMs }) => heldMs)),
    waitedMaxMs: reports.at(-1)?.waitedMaxMs ?? 0,
    flushMs: spread(reports.map(({ flushMs }) => flushMs)),
    writesPerSecond: load.writes / seconds,
    archives: load.archives,
    keptMibMax: Math.max(...reports.map(({ keptBytes }) => keptBytes)) / 2 ** 20,
  };
}

/** fio's random writes into a file of 256 MiB, and an archive that is unpacked and removed, again and again. */
class Load {
  archives = 0;
  writes = 0;
  readonly #fio: ChildProcess;
  readonly #unpacking: Promise<void>;
  #output = '';
  #isStopping = false;

  constructor(mountpoint: string, archive: string) {
    const words = [
      '--name=cuts',
      `--filename=${join(mountpoint, 'random')}`,
      '--size=256m',
      '--rw=randwrite',
      '--bs=4k',
    ];
    const time = ['--ioengine=psync', '--numjobs=1', '--time_based', '--runtime=36000', '--output-format=json'];
    this.#fio = spawn('fio', [...words, ...time], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#fio.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
    });
    this.#unpacking = this.#unpack(mountpoint, archive);
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    const ended = once(this.#fio, 'close');
    this.#fio.kill('SIGINT');
    await ended;
    await this.#unpacking;
    this.writes = jobOf(this.#output).write.total_ios;
  }

  async #unpack(mountpoint: string, archive: string): Promise<void> {
    for (; !this.#isStopping; this.archives++) {
      const directory = join(mountpoint, `unpacked-${this.archives}`);
      await mkdir(directory);
      await runTimed({ program: 'tar', args: ['-xf', archive], directory });
      await runTimed({ program: 'rm', args: ['-rf', directory], directory: mountpoint });
    }
  }
}

interface FirstWrites {
  /** Mean time of one write, microseconds. */
  bareUs: number;
  withoutCutUs: number;
  firstUs: number;
  againUs: number;
}

async function firstWrites(daemon: CutDaemon, mountpoint: string, bare: string): Promise<FirstWrites> {
  // Once before, for the file to be there.
  for (const directory of [bare, mountpoint]) await strided(directory);
  const bareUs = await strided(bare);
  const withoutCutUs = await strided(mountpoint);
  await daemon.order({ kind: 'open' });
  const firstUs = await strided(mountpoint);
  const againUs = await strided(mountpoint);
  const { failure } = await daemon.order({ kind: 'close' });
  if (failure !== '') throw new Error(`the cut failed: ${failure}`);
  return { bareUs, withoutCutUs, firstUs, againUs };
}

/** 4 KiB into every 64 KiB of a file. @returns microseconds of each. */
async function strided(directory: string): Promise<number> {
  const size = strideWrites * 64;
  const fio = [
    '--name=strided',
    '--filename=strided',
    `--size=${size}k`,
    '--rw=write:60k',
    '--bs=4k',
    '--ioengine=psync',
  ];
  const { output } = await runTimed({
    program: 'fio',
    args: [...fio, `--number_ios=${strideWrites}`, '--fallocate=none', '--overwrite=1', '--output-format=json'],
    directory,
  });
  return jobOf(output).write.lat_ns.mean / 1000;
}

function jobOf(output: string): { write: { total_ios: number; lat_ns: { mean: number } } } {
  const [job] = JSON.parse(output.slice(output.indexOf('{'))).jobs;
  return job;
}

function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor((sorted.length - 1) * share)] ?? 0;
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}

function print(held: Held, first: FirstWrites): void {
  const line = ({ p50, p99, max }: Spread) => `p50 ${p50.toFixed(2)}  p99 ${p99.toFixed(2)}  max ${max.toFixed(2)} ms`;
  const ratio = (a: number, b: number) => `${(a / b).toFixed(2)}×`;
  const { bareUs, withoutCutUs, firstUs, againUs } = first;
  process.stderr.write(`${held.cuts} cuts, ${held.failed} failed, under ${Math.round(held.writesPerSecond)} writes a second
  changes held up   ${line(held.heldMs)}
  longest wait      ${held.waitedMaxMs.toFixed(2)} ms of any change
  kernel's flush    ${line(held.flushMs)}
  kept at most      ${held.keptMibMax.toFixed(1)} MiB; ${held.archives} archives unpacked
a write of 4 KiB, each in another 64 KiB
  bare              ${bareUs.toFixed(1)} µs
  without a cut     ${withoutCutUs.toFixed(1)} µs  ${ratio(withoutCutUs, bareUs)} of bare
  first under a cut ${firstUs.toFixed(1)} µs  ${ratio(firstUs, withoutCutUs)} of without, ${ratio(firstUs, bareUs)} of bare
  again             ${againUs.toFixed(1)} µs  ${ratio(againUs, withoutCutUs)} of without
`);
}

class CutDaemon {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(words: string[]): Promise<CutDaemon> {
    const child = fork(fileURLToPath(new URL('./cut-daemon.ts', import.meta.url)), words);
    const failed = once(child, 'exit').then(() => Promise.reject(new Error('the mount daemon ended')));
    await Promise.race([once(child, 'message'), failed]);
    failed.catch(() => undefined);
    return new CutDaemon(child);
  }

  async order(order: Order): Promise<CutReport> {
    const answer = once(this.#child, 'message');
    this.#child.send(order);
    return (await answer)[0] as CutReport;
  }

  async stop(): Promise<void> {
    const ended = once(this.#child, 'exit');
    if (this.#child.connected) this.#child.send({ kind: 'stop' } satisfies Order);
    await ended;
  }
}
