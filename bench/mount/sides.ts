/** The sides of the mount benchmark: the same empty directory bare, and behind each file system under comparison. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const sideNames = ['bare', 'covault', 'indexing', 'bindfs', 'passthroughHp'] as const;
export type SideName = (typeof sideNames)[number];

export interface Side {
  name: SideName;
  /** Where the workloads run. */
  directory: string;
  /** Of the daemon; undefined for the bare directory. */
  pid: number | undefined;
  /**
   * Waits until nothing is done behind the workload any more (hashing), so that it does not slow the next side, or 20
   * seconds. @returns whether that is so.
   */
  settled(): Promise<boolean>;
  stop(): Promise<void>;
}

export interface CovaultOptions {
  /** Where the index lies. */
  state: string;
  dataMode: string | undefined;
  transport: string | undefined;
}

export interface SideOptions extends CovaultOptions {
  /** An existing directory on the storage under test; each side makes its own directories in it. */
  base: string;
  sides: readonly SideName[];
  passthroughHp: string | undefined;
}

const here = dirname(fileURLToPath(import.meta.url));

/** Those of the wanted sides that there are on this machine. */
export async function startSides(options: SideOptions): Promise<Side[]> {
  const sides: Side[] = [];
  for (const name of options.sides) {
    const side = await startSide(name, options).catch(async (error: unknown) => {
      for (const started of sides) await started.stop();
      throw error;
    });
    if (side) sides.push(side);
  }
  return sides;
}

async function startSide(name: SideName, options: SideOptions): Promise<Side | undefined> {
  const { passthroughHp } = options;
  switch (name) {
    case 'bare':
      return startBare(options);
    case 'covault':
    case 'indexing':
      return startCovault(name, join(options.base, name), options);
    case 'bindfs':
      // Without big_writes bindfs gets 4 KiB a request, which nobody would ask for who wants speed.
      return startPeer(name, name, options, (source, target) => ['-f', '-o', 'big_writes', source, target]);
    case 'passthroughHp':
      if (passthroughHp) return startPeer(name, passthroughHp, options, (...places) => ['--foreground', ...places]);
      process.stderr.write('passthroughHp is left out: name its program with --passthrough-hp\n');
      return undefined;
  }
}

async function startBare({ base }: SideOptions): Promise<Side> {
  const directory = join(base, 'bare');
  await mkdir(directory);
  return { name: 'bare', directory, pid: undefined, settled: async () => true, stop: async () => {} };
}

/** The engine alone or, as `indexing`, with the index behind it, on a directory that may hold something already. */
export async function startCovault(
  name: 'covault' | 'indexing',
  directory: string,
  options: CovaultOptions,
): Promise<Side> {
  await mkdir(directory, { recursive: true });
  const args =
    name === 'indexing'
      ? [join(here, '../../bin/covault.mjs'), 'mount', directory, '--state', options.state]
      : [join(here, 'engine-daemon.ts'), directory];
  if (options.dataMode) args.push('--data-mode', options.dataMode);
  if (options.transport) args.push('--transport', options.transport);
  return startDaemon(name, process.execPath, args, directory);
}

async function startPeer(
  name: SideName,
  program: string,
  options: SideOptions,
  argsFor: (source: string, target: string) => string[],
): Promise<Side | undefined> {
  const source = join(options.base, `${name}-source`);
  const target = join(options.base, name);
  await mkdir(source);
  await mkdir(target);
  try {
    return await startDaemon(name, program, argsFor(source, target), target);
  } catch (error) {
    process.stderr.write(`${name} is left out: ${error instanceof Error ? error.message : String(error)}\n`);
    return undefined;
  }
}

/** Starts a file-system daemon and waits until its mount stands. */
async function startDaemon(name: SideName, program: string, args: string[], directory: string): Promise<Side> {
  const deviceBefore = (await stat(directory)).dev;
  // Of a process group of its own: Ctrl-C is for the benchmark, which stops it when nothing uses it any more.
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
  const complaints: string[] = [];
  child.stderr.setEncoding('utf8').on('data', (text: string) => complaints.length < 64 && complaints.push(text));
  let failure: Error | undefined;
  child.on('error', (error) => {
    failure = error;
  });
  for (let attempt = 0; (await stat(directory)).dev === deviceBefore; attempt++) {
    if (failure) throw failure;
    if (child.exitCode !== null || attempt > 300) throw new Error(`no mount: ${complaints.join('').slice(-500)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return {
    name,
    directory,
    pid: child.pid,
    settled: () => settled(child, name === 'indexing' ? indexPauseMs : 0),
    stop: () => stopDaemon(child, directory),
  };
}

const settlingLooks = 200;
const settlingPauseMs = 100;
/** The index leaves a file alone until it has not changed for half a second. */
const indexPauseMs = 600;

/**
 * Resolves when the daemon has begun what it puts off, and uses less than a tenth of one processor, or has ended: true. Or
 * after 20 seconds: false.
 */
async function settled(child: ChildProcess, pauseMs: number): Promise<boolean> {
  await new Promise((resolve) => setTimeout(resolve, pauseMs));
  let before = await processorTicks(child);
  for (let look = 0; look < settlingLooks; look++) {
    await new Promise((resolve) => setTimeout(resolve, settlingPauseMs));
    const now = await processorTicks(child);
    // A tick is 10 ms on every Linux that Node.js runs on.
    if ((now - before) * 10 <= settlingPauseMs / 10) return true;
    before = now;
  }
  return false;
}

/** Processor time of all threads so far, in ticks. */
async function processorTicks(child: ChildProcess): Promise<number> {
  const text = await readFile(`/proc/${child.pid}/stat`, 'utf8').catch(() => '');
  // The name is in brackets; user and system time are the 12th and 13th field behind it.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
}

async function stopDaemon(child: ChildProcess, directory: string): Promise<void> {
  const ended = new Promise((resolve) => child.once('close', resolve));
  if (child.exitCode !== null) return;
  child.kill('SIGTERM');
  const killer = setTimeout(() => child.kill('SIGKILL'), 20_000);
  await ended;
  clearTimeout(killer);
  // A daemon that had to be killed, or one that does not unmount on SIGTERM, leaves its mount behind.
  await new Promise((resolve) => {
    spawn('umount', ['-l', directory], { stdio: 'ignore' }).on('close', resolve).on('error', resolve);
  });
}
