/** One run of `covault snapshot` in the benchmark, what it took from whom, and whether the copy is right. */
import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Finished, type Message, runCovault, runCovaultWell } from '../../scripts/covault-process.ts';
import { type Fleet, processorSeconds, secondaryName, sourceName } from './fleet.ts';

const comparePath = fileURLToPath(new URL('../../scripts/demo/compare.ts', import.meta.url));

export interface Copy {
  summary: Message;
  /** Wall-clock time of the whole command, from its start to its end. */
  seconds: number;
  /** What the source's network card sent meanwhile, headers included. */
  sourceSentBytes: number;
  /** What the source's daemon computed meanwhile. */
  sourceProcessorSeconds: number;
  /** When each phase was first heard of, seconds from the start. */
  phases: Record<string, number>;
}

/** Something that happens once when `after` of the bytes have come. */
export interface Midway {
  after: number;
  act(secondaryPid: number): void | Promise<void>;
}

export function storeOf(fleet: Fleet, name: string): string {
  return join(fleet.directory, 'stores', name);
}

/** Runs the command whatever its end. */
export async function runSnapshot(
  fleet: Fleet,
  options: {
    secondary?: string;
    store: string;
    midway?: Midway;
    onStart?(pid: number): void;
    onPhase?(phase: string): void;
  },
): Promise<Finished> {
  const secondary = options.secondary ?? secondaryName(0);
  const { midway } = options;
  let pid = 0;
  let acting: Promise<void> | undefined;
  const onMessage = ({ type, phase, done, total }: Message) => {
    if (type === 'progress') options.onPhase?.(phase);
    if (!midway || acting || type !== 'progress' || phase !== 'pull' || done < midway.after * total) return;
    acting = Promise.resolve(midway.act(pid));
    // Looked at below; until then a failure is nobody's.
    acting.catch(() => undefined);
  };
  const words = ['snapshot', sourceName, '--to', options.store, '--state', fleet.stateOf(secondary)];
  const finished = await runCovault(words, {
    ...fleet.runOn(fleet.hosts.host(secondary)),
    onMessage,
    onStart: (started) => {
      pid = started;
      options.onStart?.(started);
    },
  });
  await acting;
  if (midway && !acting) throw new Error(`the snapshot was over before anything could happen to it`);
  return finished;
}

/** @throws Error if the command does not end well. */
export async function takeCopy(fleet: Fleet, options: { store: string; midway?: Midway }): Promise<Copy> {
  const { pid } = fleet.client(sourceName).daemon.child;
  const sentBefore = fleet.hosts.sentBytes(sourceName);
  const usedBefore = processorSeconds(pid as number);
  const start = performance.now();
  const elapsed = () => (performance.now() - start) / 1000;
  const phases: Record<string, number> = {};
  const onPhase = (phase: string) => {
    phases[phase] ??= elapsed();
  };
  const finished = await runSnapshot(fleet, { ...options, onPhase });
  const seconds = elapsed();
  if (finished.exitCode !== 0) {
    throw new Error(
      `the snapshot ended with ${finished.exitCode}: ${JSON.stringify(finished.last)} ${finished.standardError}`,
    );
  }
  return {
    summary: finished.last,
    seconds,
    sourceSentBytes: fleet.hosts.sentBytes(sourceName) - sentBefore,
    sourceProcessorSeconds: processorSeconds(pid as number) - usedBefore,
    phases,
  };
}

/** Restores the newest snapshot of a store and compares it with the source's data directory, byte for byte. */
export async function isIdentical(fleet: Fleet, store: string): Promise<boolean> {
  const target = join(fleet.directory, 'restored');
  const host = fleet.hosts.host(secondaryName(0));
  await runCovaultWell(['restore', store, `${sourceName}/latest`, target], fleet.runOn(host));
  const { stdout } = await promisify(execFile)(process.execPath, [comparePath, fleet.client(sourceName).data, target], {
    maxBuffer: 1 << 26,
  });
  await rm(target, { recursive: true, force: true });
  const compared = JSON.parse(stdout.trim().split('\n').at(-1) as string);
  if (!compared.identical) process.stderr.write(`${JSON.stringify(compared.differences.slice(0, 5))}\n`);
  return compared.identical;
}
