/** The sides of the mount benchmark: the same empty directory bare, and behind each file system under comparison. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export type SideName = 'bare' | 'covault' | 'bindfs' | 'passthroughHp';

export interface Side {
  name: SideName;
  /** Where the workloads run. */
  directory: string;
  /** Of the daemon; undefined for the bare directory. */
  pid: number | undefined;
  /** Waits until nothing is done behind the workload any more (hashing), so that it does not slow the next side. */
  settled(): Promise<void>;
  stop(): Promise<void>;
}

export interface CovaultOptions {
  /** An existing directory on the storage under test; each side makes its own directories in it. */
  base: string;
  /** Where the index lies. */
  state: string;
  indexing: boolean;
  dataMode: string | undefined;
  transport: string | undefined;
}

export interface SideOptions extends CovaultOptions {
  passthroughHp: string | undefined;
}

const here = dirname(fileURLToPath(import.meta.url));

/** The other file systems have no index; with indexing only the bare directory and Covault are run. */
export async function startSides(options: SideOptions): Promise<Side[]> {
  const sides = [await startBare(options), await startCovault(options)];
  if (options.indexing) return sides;
  const bindfs = await startPeer('bindfs', 'bindfs', options, (source, target) => ['-f', source, target]);
  if (bindfs) sides.push(bindfs);
  if (options.passthroughHp) {
    const hp = await startPeer('passthroughHp', options.passthroughHp, options, (source, target) => [
      '--foreground',
      source,
      target,
    ]);
    if (hp) sides.push(hp);
  } else {
    process.stderr.write('passthroughHp is left out: name its program with --passthrough-hp\n');
  }
  return sides;
}

async function startBare({ base }: SideOptions): Promise<Side> {
  const directory = join(base, 'bare');
  await mkdir(directory);
  return { name: 'bare', directory, pid: undefined, settled: async () => {}, stop: async () => {} };
}

/** On the directory `covault` in the base, which may hold something already. */
export async function startCovault(options: CovaultOptions): Promise<Side> {
  const directory = join(options.base, 'covault');
  await mkdir(directory, { recursive: true });
  const args = options.indexing
    ? [join(here, '../../bin/covault.mjs'), 'mount', directory, '--state', options.state]
    : [join(here, 'engine-daemon.ts'), directory];
  if (options.dataMode) args.push('--data-mode', options.dataMode);
  if (options.transport) args.push('--transport', options.transport);
  return startDaemon('covault', process.execPath, args, directory);
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
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
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
    settled: () => settled(child),
    stop: () => stopDaemon(child, directory),
  };
}

const settlingLooks = 100;
const settlingPauseMs = 200;

/** Resolves when the daemon uses less than a tenth of one processor, or after 20 seconds. */
async function settled(child: ChildProcess): Promise<void> {
  let before = await processorTicks(child);
  for (let look = 0; look < settlingLooks; look++) {
    await new Promise((resolve) => setTimeout(resolve, settlingPauseMs));
    const now = await processorTicks(child);
    // A tick is 10 ms on every Linux that Node.js runs on.
    if ((now - before) * 10 < settlingPauseMs / 10) return;
    before = now;
  }
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
