/**
 * Runs the world of one seed to its end and says which promises were broken, the same way each time.
 *
 * Faults happen while snapshots are made and are over by a known time. From then on everything must come right within
 * a bounded time: all snapshots made, the map level with what clients hold, nothing left under way.
 */
import { pause } from '../../src/core/timers.ts';
import type { SimClient } from './client.ts';
import { planFaults } from './faults.ts';
import { World } from './world.ts';

export interface Report {
  seed: number;
  /** Promises that were broken, as sentences. */
  breaches: string[];
  /** What happened to the world, in order. */
  faults: string[];
  /** Of everything that arrived anywhere: equal for equal runs. */
  traceHash: number;
  virtualMs: number;
  messages: number;
  bytes: number;
  snapshots: number;
  /** Runs of snapshots that ended with an error, by its code. */
  failures: Map<string, number>;
}

const faultsMax = 12;
/** After the last fault all snapshots must be made within this time, milliseconds. */
const progressMs = 60 * 60_000;
/** And then the map must be level within this one. */
const levelMs = 10 * 60_000;
const levelStepMs = 10_000;
/** Leases of cuts end, connections that nobody uses are given up. */
const quietMs = 130_000;
const requestsToOneMax = 3;

export async function simulate(seed: number): Promise<Report> {
  const world = new World(seed);
  const { random, time } = world;
  await time.run(world.start(), 60_000);
  const faults = planFaults(world, random.chance(0.1) ? 0 : random.between(1, faultsMax), world.healedMs);
  const happened: string[] = [];
  const tell = (sentence: string) => happened.push(`${Math.round(time.monotonicMs())} ms: ${sentence}`);
  for (const { name, atMs, forMs, begin, end } of faults) {
    time.after(atMs, () => {
      tell(name);
      begin();
      time.after(forMs, () => {
        tell(`over: ${name}`);
        end();
      });
    });
  }
  for (const client of world.clients.values()) if (random.chance(0.3)) keepChanging(world, client);
  try {
    await time.run(runToEnd(world), 2 * progressMs + levelMs);
  } catch (error) {
    world.breach(`no end: ${(error as Error).message}; ${waitedFor(world)}`);
  }
  return {
    seed,
    breaches: world.breaches,
    faults: happened,
    traceHash: world.traceHash,
    virtualMs: time.monotonicMs(),
    messages: world.network.counts.messages,
    bytes: world.network.counts.bytes,
    snapshots: world.secondaries.reduce((sum, { store }) => sum + store.records.length, 0),
    failures: sumOf(world.secondaries.map(({ codes }) => codes)),
  };
}

/** Somebody works on a client's files until nothing goes wrong any more. */
function keepChanging(world: World, client: SimClient): void {
  const { random, time } = world;
  const again = () => {
    if (time.monotonicMs() >= world.healedMs) {
      world.network.trouble([client.host], -1);
      return;
    }
    world.changeFiles(client);
    time.after(random.magnitude(20, 3_000), again);
  };
  world.network.trouble([client.host], 1);
  again();
}

async function runToEnd(world: World): Promise<void> {
  const { time, secondaries, clients } = world;
  await pause(time, world.healedMs + 1);
  const done = Promise.all(secondaries.map((secondary) => secondary.done));
  const late = new AbortController();
  await Promise.race([
    done.finally(() => late.abort()),
    pause(time, progressMs, late.signal).then(
      () => world.breach(`no progress: ${waitedFor(world)}`),
      () => undefined,
    ),
  ]);
  await untilLevel(world);
  await pause(time, quietMs);
  checkQuiet(world);
  await Promise.all([...clients.values()].map((client) => client.stop()));
  world.repository.kill();
  await pause(time, quietMs);
  if (time.timerCount > 0) world.breach(`${time.timerCount} timers are still set`);
}

/** Waits until the map says of every client what its feed says. */
async function untilLevel(world: World): Promise<void> {
  const untilMs = world.time.monotonicMs() + levelMs;
  for (;;) {
    const differences = [...world.clients.values()].flatMap((client) => difference(world, client) ?? []);
    if (differences.length === 0) return;
    if (world.time.monotonicMs() > untilMs) {
      for (const sentence of differences) world.breach(sentence);
      return;
    }
    await pause(world.time, levelStepMs);
  }
}

/** How the map is not what it must be; reports of missing blocks may have taken more out of it. */
function difference({ repository, secondaries }: World, { name, feed, isLevel }: SimClient): string | undefined {
  const mapped = repository.holdingsOf(name);
  const held = new Set(feed.held().map((digest) => Buffer.from(digest).toString('latin1')));
  const surplus = [...mapped].filter((key) => !held.has(key)).length;
  const isReported = (key: string) => secondaries.some(({ reported }) => reported.has(`${name} ${key}`));
  const lacking = [...held].filter((key) => !mapped.has(key) && !isReported(key)).length;
  if (surplus === 0 && lacking === 0 && isLevel) return undefined;
  return `the map has ${surplus} too many and ${lacking} too few of ${name}, which ${isLevel ? 'is' : 'is not'} level`;
}

/** Nothing is under way or held when nobody does anything. */
function checkQuiet({ network, clients, secondaries, breach }: World): void {
  for (const { path, from, to, sinceMs } of network.underWay) {
    // Feeds and leases go on.
    if (network.time.monotonicMs() - sinceMs < quietMs / 2) continue;
    breach(`${path} from ${from} to ${to} is under way since ${sinceMs} ms`);
  }
  for (const { name, serving } of clients.values()) {
    const { openCuts = 0, uploads = 0 } = serving?.status() ?? {};
    if (openCuts > 0) breach(`${openCuts} cuts of ${name} are still open`);
    if (uploads > 0) breach(`${name} still answers ${uploads} requests for blocks`);
  }
  for (const { name, store, requestsMax, requestsMost, requestsMostToOne } of secondaries) {
    if (store.storingMost > requestsMax) breach(`${name} stored ${store.storingMost} blocks at once`);
    if (requestsMost > requestsMax) breach(`${name} had ${requestsMost} requests under way`);
    if (requestsMostToOne > requestsToOneMax) breach(`${name} had ${requestsMostToOne} requests to one peer`);
  }
}

function waitedFor({ secondaries, clients }: World): string {
  const made = secondaries.map(({ name, store, codes, lastFailure }) => {
    return `${name} has ${store.records.length} snapshots after ${JSON.stringify([...codes])} (${lastFailure})`;
  });
  const behind = [...clients.values()].filter(({ isLevel }) => !isLevel).map(({ name }) => `${name} is behind`);
  return [...made, ...behind].join(', ');
}

function sumOf(all: readonly ReadonlyMap<string, number>[]): Map<string, number> {
  const sum = new Map<string, number>();
  for (const counts of all) for (const [key, count] of counts) sum.set(key, (sum.get(key) ?? 0) + count);
  return sum;
}
