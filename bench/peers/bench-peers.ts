/**
 * The peer benchmark: hosts in network namespaces with limited links and real processes, one scenario after the other;
 * beside Covault's time the least that links and holders allow, and restic and Borg over the source's link.
 */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cleanUp } from '../../scripts/leftovers.ts';
import { type Bench, type PeersBenchOptions, say } from './bench-state.ts';
import { chooseFiles, layOut } from './data.ts';
import { Fleet } from './fleet.ts';
import { Hosts } from './hosts.ts';
import { missingPrograms } from './others.ts';
import { attempt, runScenario } from './run-scenario.ts';
import { runManyAtOnce, runSpecial, specialNames } from './run-special.ts';
import { type LayoutName, layouts, manyName, scenarios } from './scenarios.ts';

const endSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** @throws Error if a scenario failed, after all others have been run. */
export async function benchPeers(options: PeersBenchOptions): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error('network namespaces need root');
  const missing = missingPrograms();
  if (missing.length > 0 && !options.alone) say(`restic and Borg are left out: ${missing.join(', ')} missing`);
  const scratch = await mkdtemp(join(options.directory ?? tmpdir(), 'covault-bench-'));
  const bench: Bench = { options, scratch, results: {}, failures: [], others: new Map() };
  // Whatever is started gets it, and is found by it at the end.
  process.env.TMPDIR = scratch;
  const stopped = Promise.withResolvers<never>();
  const stop = (signal: NodeJS.Signals) => {
    bench.isStopped = true;
    stopped.reject(new Error(`stopped by ${signal}`));
  };
  for (const signal of endSignals) process.on(signal, stop);
  const work = runAll(bench);
  // After a signal its processes are ended below, and so it fails: that is not news.
  work.catch(() => undefined);
  try {
    await Promise.race([work, stopped.promise]);
  } finally {
    // Before anything can go wrong with the cleaning up.
    if (options.json) process.stdout.write(`${JSON.stringify({ scenarios: bench.results })}\n`);
    // First: it is quick, and nothing else would ever do it.
    Hosts.disposeAll();
    await cleanUp(scratch);
    for (const signal of endSignals) process.off(signal, stop);
  }
  if (bench.failures.length > 0) throw new Error(`failed: ${bench.failures.join('; ')}`);
}

async function runAll(bench: Bench): Promise<void> {
  for (const layout of Object.keys(layouts) as LayoutName[]) {
    await attempt(bench, layout, () => runLayout(bench, layout));
  }
  if (isWanted(bench, manyName)) await attempt(bench, manyName, () => runManyAtOnce(bench));
}

function isWanted({ options }: Bench, name: string): boolean {
  return options.only.split(',').some((text) => name.includes(text));
}

/** All scenarios with the same files on the same hosts. */
async function runLayout(bench: Bench, layout: LayoutName): Promise<void> {
  const chosen = scenarios.filter((scenario) => scenario.layout === layout && isWanted(bench, scenario.name));
  const specials = layout === 'held100' ? specialNames.filter((name) => isWanted(bench, name)) : [];
  if (chosen.length + specials.length === 0) return;
  const { options, scratch } = bench;
  const { scale, ...layoutOf } = layouts[layout];
  const start = performance.now();
  const files = layOut(await chooseFiles(options.files, options.bytes * scale), layoutOf);
  const directory = await mkdtemp(join(scratch, `${layout}-`));
  const fleet = await Fleet.start({
    directory,
    scratch,
    folder: options.files,
    files,
    peers: layoutOf.peers,
    secondaries: 1,
  });
  try {
    const megabytes = files.reduce((sum, { bytes }) => sum + bytes, 0) / 1e6;
    say(`${layout}: ${files.length} files of ${megabytes.toFixed(0)} MB, ready after ${secondsSince(start)} s`);
    const world = { bench, fleet, files };
    const isLast = (name: string) => name === 'stale map';
    for (const name of specials) if (!isLast(name)) await attempt(bench, name, () => runSpecial(world, name));
    for (const scenario of chosen) await attempt(bench, scenario.name, () => runScenario(world, scenario));
    for (const name of specials) if (isLast(name)) await attempt(bench, name, () => runSpecial(world, name));
  } finally {
    await fleet.dispose();
    // Who was killed has left its mount.
    await cleanUp(directory);
  }
}

function secondsSince(start: number): string {
  return ((performance.now() - start) / 1000).toFixed(0);
}
