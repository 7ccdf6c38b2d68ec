/**
 * The peer benchmark: hosts in network namespaces with limited links and real processes, one scenario after the other;
 * beside Covault's time the least that links and holders allow, and restic and Borg over the source's link.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { cleanUp } from '../../scripts/leftovers.ts';
import { type Holding, lowerBound } from './bound.ts';
import { copyInto, layOut, type SharedFile } from './data.ts';
import { Fleet, secondaryName, sourceName } from './fleet.ts';
import { payloadShare } from './hosts.ts';
import { backUpWithOthers, missingPrograms } from './others.ts';
import { type LayoutName, layouts, type Rates, type Scenario, scenarios, setRates } from './scenarios.ts';
import { copyAllAtOnce, killSecondary, makeMapStale, workWhileServing } from './special.ts';
import { isIdentical, storeOf, takeCopy } from './take-copy.ts';

export interface PeersBenchOptions {
  json: boolean;
  /** Only scenarios whose name contains this text. */
  only: string;
  /** A folder with real files. */
  files: string;
  /** Bytes of the source. */
  bytes: number;
  directory: string | undefined;
}

export interface Figures {
  /** What the source sent, by the summary of the snapshot: blocks, trees and recipes. */
  sourceBytes: number;
  /** What only the source had. */
  sourceOnlyBytes: number;
  /** Blocks pulled in all. */
  totalBytes: number;
  seconds: number;
  lowerBound: number;
  restic: number | null;
  borg: number | null;
  identical: boolean;
  /** More of the scenario's own. */
  [more: string]: unknown;
}

/** Bits a second of links that are not limited, for the bound. */
const unlimited = 10e9;
const liarPath = fileURLToPath(new URL('lying-client.ts', import.meta.url));

interface Bench {
  options: PeersBenchOptions;
  scratch: string;
  results: Record<string, Figures>;
  /** Seconds of restic and Borg by layout and the source's rate: neither knows of peers. */
  others: Map<string, { restic: number; borg: number }>;
}

export async function benchPeers(options: PeersBenchOptions): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error('network namespaces need root');
  const missing = missingPrograms();
  if (missing.length > 0) say(`restic and Borg are left out: ${missing.join(', ')} missing`);
  const scratch = await mkdtemp(join(options.directory ?? tmpdir(), 'covault-bench-'));
  const bench: Bench = { options, scratch, results: {}, others: new Map() };
  try {
    for (const layout of Object.keys(layouts) as LayoutName[]) await benchLayout(bench, layout);
    await benchMany(bench);
  } finally {
    await cleanUp(scratch);
  }
  if (options.json) process.stdout.write(`${JSON.stringify({ scenarios: bench.results })}\n`);
}

function isWanted({ options }: Bench, name: string): boolean {
  return name.includes(options.only);
}

async function benchLayout(bench: Bench, layout: LayoutName): Promise<void> {
  const chosen = scenarios.filter((scenario) => scenario.layout === layout && isWanted(bench, scenario.name));
  const specials = layout === 'held100' ? specialNames.filter((name) => isWanted(bench, name)) : [];
  if (chosen.length + specials.length === 0) return;
  const { folder, files } = filesOf(bench, layout, bench.options.bytes);
  const directory = await mkdtemp(join(bench.scratch, `${layout}-`));
  const fleet = await Fleet.start({ directory, folder, files, peers: layouts[layout].peers, secondaries: 1 });
  try {
    const world = { bench, fleet, files };
    for (const name of specials.filter((special) => special !== 'stale map')) await benchSpecial(world, name);
    for (const scenario of chosen) await benchScenario(world, scenario);
    if (specials.includes('stale map')) await benchSpecial(world, 'stale map');
  } finally {
    await fleet.dispose();
    await rm(directory, { recursive: true, force: true });
  }
}

function filesOf({ options }: Bench, layout: LayoutName, bytes: number): { folder: string; files: SharedFile[] } {
  return { folder: options.files, files: layOut(options.files, { ...layouts[layout], bytes }) };
}

interface World {
  bench: Bench;
  fleet: Fleet;
  files: readonly SharedFile[];
}

async function benchScenario(world: World, scenario: Scenario): Promise<void> {
  const { bench, fleet, files } = world;
  setRates(fleet, scenario.rates);
  const liar = scenario.liar ? await startLiar(world, scenario.liar) : undefined;
  const store = storeOf(fleet, scenario.name.replaceAll(/[^a-z0-9]+/g, '-'));
  try {
    const midway = scenario.midway?.(fleet);
    const copy = await takeCopy(fleet, { store, ...(midway ? { midway } : {}) });
    await scenario.afterwards?.(fleet);
    const { summary } = copy;
    record(bench, scenario.name, {
      sourceBytes: summary.fromSource,
      sourceOnlyBytes: summary.onlyAtSource,
      totalBytes: summary.newBytes,
      seconds: copy.seconds,
      lowerBound: boundOf(files, scenario.rates, scenario.lostPeer),
      ...(await othersOf(world, scenario)),
      identical: await isIdentical(fleet, store),
      sourceSentBytes: copy.sourceSentBytes,
      sourceProcessorSeconds: copy.sourceProcessorSeconds,
      phases: copy.phases,
      peers: summary.peers,
      dropped: summary.dropped,
    });
  } finally {
    await stop(liar);
    await rm(store, { recursive: true, force: true });
  }
}

const specialNames = ['serving machine works', 'secondary killed', 'stale map'] as const;

async function benchSpecial(world: World, name: (typeof specialNames)[number]): Promise<void> {
  const { bench, fleet, files } = world;
  const rates: Rates = [50, 50, 50, 50, 50];
  setRates(fleet, rates);
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const common = { lowerBound: boundOf(files, rates), restic: null, borg: null };
  if (name === 'serving machine works') {
    const work = await workWhileServing(fleet);
    if (work)
      say(`${name}: fio lost ${(100 * work.lost).toFixed(1)} % (${work.alone | 0} to ${work.serving | 0} a second)`);
    bench.results[name] = { ...noSnapshot, ...work };
  } else if (name === 'secondary killed') {
    const { summary, seconds, pulledTwice, identical } = await killSecondary(fleet, bytes);
    const sent = { sourceBytes: summary.fromSource, sourceOnlyBytes: summary.onlyAtSource, totalBytes: bytes };
    record(bench, name, { ...common, ...sent, seconds, identical, pulledTwice });
  } else {
    await makeMapStale(fleet);
    const store = storeOf(fleet, 'stale');
    const { summary, seconds } = await takeCopy(fleet, { store });
    const sent = { sourceBytes: summary.fromSource, sourceOnlyBytes: summary.onlyAtSource };
    const lowerBoundWithout = boundOf(files, rates, 0);
    const identical = await isIdentical(fleet, store);
    const { staleCount } = summary;
    const figures = {
      ...common,
      ...sent,
      totalBytes: summary.newBytes,
      lowerBound: lowerBoundWithout,
      seconds,
      identical,
    };
    record(bench, name, { ...figures, staleCount });
  }
}

const noSnapshot = {
  sourceBytes: 0,
  sourceOnlyBytes: 0,
  totalBytes: 0,
  seconds: 0,
  lowerBound: 0,
  restic: null,
  borg: null,
  identical: true,
};

const manyName = 'eight secondaries';

/** Smaller data, since it is copied eight times over the same links. */
async function benchMany(bench: Bench): Promise<void> {
  if (!isWanted(bench, manyName)) return;
  const count = 8;
  const { folder, files } = filesOf(bench, 'held100', bench.options.bytes / 4);
  const directory = await mkdtemp(join(bench.scratch, 'many-'));
  const fleet = await Fleet.start({ directory, folder, files, peers: 4, secondaries: count });
  const rates: Rates = [50, 50, 50, 50, 50];
  try {
    setRates(fleet, rates);
    const { summaries, seconds, identical, busiestPeer } = await copyAllAtOnce(fleet, count);
    const sum = (field: string) => summaries.reduce((total, summary) => total + Number(summary[field]), 0);
    record(bench, manyName, {
      sourceBytes: sum('fromSource'),
      sourceOnlyBytes: sum('onlyAtSource'),
      totalBytes: sum('newBytes'),
      seconds,
      lowerBound: count * boundOf(files, rates),
      restic: null,
      borg: null,
      identical,
      busiestPeer,
    });
  } finally {
    await fleet.dispose();
    await rm(directory, { recursive: true, force: true });
  }
}

function boundOf(files: readonly SharedFile[], rates: Rates, lostPeer?: number): number {
  const [source, ...peers] = rates.map((megabits) => ((megabits * 1e6) / 8) * payloadShare) as [number, ...number[]];
  const sourcePosition = peers.length;
  const holdings = files.map(({ bytes, peers: holders }): Holding => {
    const left = holders.filter((peer) => peer !== lostPeer);
    return { bytes, holders: left.length > 0 ? left : [sourcePosition] };
  });
  return lowerBound(holdings, [...peers, source], unlimited / 8);
}

async function othersOf({ bench, fleet }: World, { layout, rates }: Scenario) {
  if (missingPrograms().length > 0) return { restic: null, borg: null };
  const key = `${layout} ${rates[0]}`;
  const known = bench.others.get(key);
  if (known) return known;
  const scratch = join(fleet.directory, 'others', `${rates[0]}`);
  const hosts = { source: fleet.hosts.host(sourceName), target: fleet.hosts.host(secondaryName(0)) };
  const seconds = await backUpWithOthers({ scratch, ...hosts, data: fleet.client(sourceName).data });
  await rm(scratch, { recursive: true, force: true });
  bench.others.set(key, seconds);
  return seconds;
}

/** A fifth peer with everything that the source has. */
async function startLiar({ bench, fleet, files }: World, mode: string): Promise<ChildProcess> {
  const name = 'liar';
  const data = join(fleet.directory, 'data', name);
  if (!fleet.hosts.has(name)) {
    await fleet.join(name, 'client');
    copyInto(data, bench.options.files, files);
  }
  fleet.hosts.setRate(name, 50);
  const host = fleet.hosts.host(name);
  const words = [process.execPath, liarPath, fleet.stateOf(name), data, `${host.address}:0`, mode];
  const [program, ...args] = [...host.within, ...words];
  const env = { ...process.env, TMPDIR: fleet.directory };
  const child = spawn(program as string, args, { stdio: ['ignore', 'pipe', 'inherit'], env });
  const [line] = await Promise.race([
    once(createInterface({ input: child.stdout }), 'line'),
    once(child, 'close').then(([code]) => Promise.reject(new Error(`the lying client ended with ${code}`))),
  ]);
  if (JSON.parse(line).type !== 'ready') throw new Error(`the lying client says ${line}`);
  return child;
}

async function stop(child: ChildProcess | undefined): Promise<void> {
  if (!child || child.exitCode !== null) return;
  child.kill();
  await once(child, 'close');
}

function record(bench: Bench, name: string, figures: Figures): void {
  bench.results[name] = figures;
  const { seconds, lowerBound: bound, restic, borg, sourceBytes, totalBytes, identical } = figures;
  const others = restic === null || borg === null ? '' : `   restic ${restic.toFixed(1)} s   borg ${borg.toFixed(1)} s`;
  const share = ((100 * sourceBytes) / totalBytes).toFixed(2);
  say(
    `${name.padEnd(26)} ${seconds.toFixed(1)} s   bound ${bound.toFixed(1)} s (${(seconds / bound).toFixed(2)} x)   ` +
      `source ${share} %${others}   ${identical ? 'identical' : 'DIFFERENT'}`,
  );
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
