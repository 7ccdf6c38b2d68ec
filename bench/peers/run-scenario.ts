/** One snapshot over limited links with something happening in it, and its figures. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type Bench, record, say, type World } from './bench-state.ts';
import { type Holding, lowerBound } from './bound.ts';
import { copyInto, type SharedFile } from './data.ts';
import { secondaryName, sourceName } from './fleet.ts';
import { payloadShare } from './hosts.ts';
import { backUpWithOthers, missingPrograms, otherHostName } from './others.ts';
import { equalRates, type Rates, type Scenario, setRates } from './scenarios.ts';
import { isIdentical, storeOf, takeCopy } from './take-copy.ts';

/** Bits a second of links that are not limited, for the bound. */
const unlimited = 10e9;
const liarPath = fileURLToPath(new URL('lying-client.ts', import.meta.url));

/** Runs a scenario; that it failed is noted, and the others go on. */
export async function attempt(bench: Bench, name: string, run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (bench.isStopped) throw error;
    const { message } = error as Error;
    say(`${name.padEnd(26)} FAILED: ${message}`);
    bench.results[name] = { error: message };
    bench.failures.push(name);
  }
}

export async function runScenario(world: World, scenario: Scenario): Promise<void> {
  const { bench, fleet, files } = world;
  setRates(fleet, scenario.rates);
  const liar = scenario.liar ? await startLiar(world, scenario.liar) : undefined;
  const store = storeOf(fleet, scenario.name.replaceAll(/[^a-z0-9]+/g, '-'));
  try {
    const midway = scenario.midway?.(fleet);
    const copy = await takeCopy(fleet, { store, ...(midway ? { midway } : {}) });
    const { summary } = copy;
    record(bench, scenario.name, {
      sourceBytes: summary.fromSource,
      sourceOnlyBytes: summary.onlyAtSource,
      totalBytes: summary.newBytes,
      seconds: copy.seconds,
      lowerBound: boundOf(files, scenario.rates, scenario.lostPeers),
      ...(await othersOf(world, scenario.rates)),
      identical: await isIdentical(fleet, store),
      sourceSentBytes: copy.sourceSentBytes,
      sourceProcessorSeconds: copy.sourceProcessorSeconds,
      phases: copy.phases,
      peers: summary.peers,
      dropped: summary.dropped,
      stale: summary.stale,
      sourceUse: summary.sourceUse,
    });
  } finally {
    await scenario.afterwards?.(fleet);
    await stop(liar);
    await rm(store, { recursive: true, force: true });
  }
}

/** Seconds: the least in which these links bring what the source has, compressed as clients compress it. */
export function boundOf(files: readonly SharedFile[], rates: Rates, lostPeers: readonly number[] = []): number {
  const [source, ...peers] = rates.map((megabits) => ((megabits * 1e6) / 8) * payloadShare) as [number, ...number[]];
  const sourcePosition = peers.length;
  const holdings = files.map(({ wireBytes, peers: holders }): Holding => {
    const left = holders.filter((peer) => !lostPeers.includes(peer));
    return { bytes: wireBytes, holders: left.length > 0 ? left : [sourcePosition] };
  });
  return lowerBound(holdings, [...peers, source], unlimited / 8);
}

/** restic and Borg from the source: neither knows of peers. */
export async function othersOf({ bench, fleet, files }: World, [rate]: Rates) {
  if (bench.options.alone || missingPrograms().length > 0) return { restic: null, borg: null };
  const key = `${rate} ${files.length}`;
  const known = bench.others.get(key);
  if (known) return known;
  const { hosts } = fleet;
  // Each over a link of its own, so that both can work at once.
  if (!hosts.has(otherHostName)) hosts.add(otherHostName);
  hosts.setRate(otherHostName, rate);
  const seconds = await backUpWithOthers({
    scratch: join(fleet.directory, 'others', `${rate}`),
    sources: { restic: hosts.host(sourceName), borg: hosts.host(otherHostName) },
    target: hosts.host(secondaryName(0)),
    data: fleet.client(sourceName).data,
  });
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
  fleet.hosts.setRate(name, equalRates[1] as number);
  const host = fleet.hosts.host(name);
  const words = [process.execPath, liarPath, fleet.stateOf(name), data, `${host.address}:0`, mode];
  const [program, ...args] = [...host.within, ...words];
  const child = spawn(program as string, args, { stdio: ['ignore', 'pipe', 'inherit'] });
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
