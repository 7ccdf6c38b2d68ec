/** Scenarios that are more than one snapshot with something happening in it. */
import { open, readdir, rm, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { type Message, runCovaultWell } from '../../scripts/covault-process.ts';
import { runTimed } from '../measure.ts';
import { type Fleet, peerName, secondaryName, sourceName } from './fleet.ts';
import { isIdentical, runSnapshot, storeOf, takeCopy } from './take-copy.ts';

const fioFile = 'fio.data';
/** Shorter than the snapshot beside it. */
const fioSeconds = 8;
/** Settings of a client that serves at no hour. */
const servesNothing = { uploadByHour: ['00:00-12:00=off', '12:00-24:00=off'] };

/** What clients say they have served to one puller, blocks only, in all. */
async function servedBytes(fleet: Fleet, puller: string): Promise<number> {
  let total = 0;
  for (const name of fleet.clients.keys()) {
    const { repository } = await fleet.status(name);
    const served: { peer: string; bytes: number }[] = repository.serving.served;
    total += served.find(({ peer }) => peer === puller)?.bytes ?? 0;
  }
  return total;
}

/**
 * The secondary is killed at half of the bytes and run again. `seconds` are those of both runs, `pulledTwice` what
 * clients sent in both together beyond the bytes that the first one needed.
 */
export async function killSecondary(fleet: Fleet) {
  const store = storeOf(fleet, 'killed');
  const before = await servedBytes(fleet, secondaryName(0));
  const start = performance.now();
  const midway = { after: 0.5, act: (pid: number) => void process.kill(pid, 'SIGKILL') };
  const { signal, messages } = await runSnapshot(fleet, { store, midway });
  if (signal !== 'SIGKILL') throw new Error(`the snapshot ended with ${signal}, not by SIGKILL`);
  const { summary } = await takeCopy(fleet, { store });
  const seconds = (performance.now() - start) / 1000;
  const totalBytes: number = messages.find(({ type }) => type === 'plan')?.bytes;
  const pulledTwice = (await servedBytes(fleet, secondaryName(0))) - before - totalBytes;
  return { summary, seconds, totalBytes, pulledTwice, identical: await isIdentical(fleet, store) };
}

/**
 * A peer loses sight of the repository and changes the first byte of every third file; the map goes on saying that it
 * holds the old content. To be followed by a snapshot at once, while the repository still takes the peer for well. Returns
 * how many files were changed.
 */
export async function makeMapStale(fleet: Fleet): Promise<number> {
  const name = peerName(0);
  fleet.hosts.setReachable(name, 'repository', false);
  const { data } = fleet.client(name);
  const names = await readdir(data, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const changed = files.sort().filter((_, rank) => rank % 3 === 0);
  for (const path of changed) {
    const file = await open(path, 'r+');
    await file.write('\u0001', 0);
    await file.close();
  }
  return changed.length;
}

/** Wrong entries of the map that were reported of all members, by the repository. */
export async function foundMissing(fleet: Fleet): Promise<number> {
  const { repository } = await fleet.status(sourceName);
  return (repository.members as { missing: number }[]).reduce((sum, { missing }) => sum + missing, 0);
}

/** Every secondary copies the source at once, each into a store of its own. */
export async function copyAllAtOnce(fleet: Fleet, count: number) {
  const before = new Map<string, number>();
  for (const name of fleet.clients.keys()) before.set(name, fleet.hosts.sentBytes(name));
  const ranks = Array.from({ length: count }, (_, rank) => rank);
  const start = performance.now();
  const ends = await Promise.all(
    ranks.map((rank) => {
      const secondary = secondaryName(rank);
      return runSnapshot(fleet, { secondary, store: storeOf(fleet, `at-once-${rank}`) });
    }),
  );
  const seconds = (performance.now() - start) / 1000;
  const failed = ends.find(({ exitCode }) => exitCode !== 0);
  if (failed) throw new Error(`a snapshot ended with ${failed.exitCode}: ${JSON.stringify(failed.last)}`);
  const sent = [...fleet.clients.keys()].map((name) => fleet.hosts.sentBytes(name) - (before.get(name) ?? 0));
  const peersSent = sent.slice(1);
  return {
    summaries: ends.map(({ last }) => last),
    seconds,
    /** How much more than its share the busiest peer sent. */
    busiestPeer: Math.max(...peersSent) / (peersSent.reduce((sum, bytes) => sum + bytes, 0) / peersSent.length),
    identical: await isIdentical(fleet, storeOf(fleet, 'at-once-0')),
  };
}

/**
 * `fio` in the data directory of a client: alone, beside snapshots that the client has no part in, and beside those for
 * which it serves; operations a second. The client and fio are bound to one processor, everything else to the others,
 * since the hosts of this benchmark share a machine. They share it nevertheless: the disk, the network, and whatever
 * else runs on it moves to the processor that has less to do. So what is lost is told from the fio beside other
 * snapshots, and the turns are such that what gets slower or faster by and by counts for both sides.
 */
export async function workWhileServing(fleet: Fleet) {
  const name = peerName(0);
  const processors = availableParallelism();
  if (processors < 2) throw new Error('needs two processors: one for the client that works, one for all others');
  const others = `1-${processors - 1}`;
  // From its start on: the engine's threads follow their callers over all processors that they could use then.
  await fleet.remountClient(name, ['taskset', '-c', '0']);
  for (const client of fleet.clients.values()) {
    if (client.name !== name) await bind(client.daemon.child.pid as number, others);
  }
  const { data } = fleet.client(name);
  try {
    // Lays the file out, too.
    const alone = await runFio(data, fioSeconds);
    const turns: Turn[] = [];
    for (const serves of [false, true, true, false]) {
      await setServing(fleet, name, serves);
      turns.push({ serves, ...(await fioDuringSnapshot(fleet, { store: `fio-${turns.length}`, data, others })) });
    }
    const [beside, serving] = [meanOf(turns, false), meanOf(turns, true)];
    const { summary, seconds, store } = turns.find(({ serves }) => serves) as Turn;
    const served = turns.map((turn) => sentBy(turn.summary, name));
    if (turns.some(({ serves }, turn) => serves !== (served[turn] as number) > 0)) {
      throw new Error(`${name} sent ${served.join(', ')} bytes: not when it was to serve`);
    }
    const identical = await isIdentical(fleet, store);
    const operations = turns.map((turn) => turn.operations);
    return { summary, seconds, identical, alone, beside, serving, lost: 1 - serving / beside, served, operations };
  } finally {
    await rm(join(data, fioFile), { force: true });
    await setServing(fleet, name, true);
    await fleet.remountClient(name);
    for (const { daemon } of fleet.clients.values()) await bind(daemon.child.pid as number, `0-${processors - 1}`);
  }
}

interface Turn {
  serves: boolean;
  /** A second. */
  operations: number;
  summary: Message;
  seconds: number;
  store: string;
}

function meanOf(turns: readonly Turn[], serves: boolean): number {
  const chosen = turns.filter((turn) => turn.serves === serves);
  return chosen.reduce((sum, { operations }) => sum + operations, 0) / chosen.length;
}

/** Lets a client serve or not. */
async function setServing(fleet: Fleet, name: string, serves: boolean): Promise<void> {
  const state = fleet.stateOf(name);
  await writeFile(join(state, 'settings.json'), JSON.stringify(serves ? {} : servesNothing));
  await runCovaultWell(['reload', '--state', state], fleet.runOn(fleet.hosts.host(name)));
}

/** `fio` from the moment on at which blocks come. @param options.others the processors of the snapshot. */
async function fioDuringSnapshot(fleet: Fleet, options: { store: string; data: string; others: string }) {
  const { data, others } = options;
  const flowing = Promise.withResolvers<void>();
  const store = storeOf(fleet, options.store);
  const start = performance.now();
  const snapshot = runSnapshot(fleet, {
    store,
    onStart: (pid) => void bind(pid, others),
    midway: { after: 0.02, act: () => flowing.resolve() },
  });
  await Promise.race([flowing.promise, snapshot]);
  const operations = await runFio(data, fioSeconds);
  const { last: summary, exitCode } = await snapshot;
  if (exitCode !== 0) throw new Error(`the snapshot ended with ${exitCode}: ${JSON.stringify(summary)}`);
  const seconds = (performance.now() - start) / 1000;
  return { operations, summary, seconds, store };
}

function sentBy(summary: Record<string, unknown>, name: string): number {
  const peers = summary.peers as { peer: string; bytes: number }[];
  return peers.find(({ peer }) => peer === name)?.bytes ?? 0;
}

async function bind(pid: number, processors: string): Promise<void> {
  await runTimed({ program: 'taskset', args: ['-a', '-p', '-c', processors, `${pid}`], directory: '/' });
}

/** Random 4 KiB reads and writes, half each, with one thread; operations a second. */
async function runFio(directory: string, seconds: number): Promise<number> {
  const job = ['--name=work', `--filename=${fioFile}`, '--size=64m', '--rw=randrw', '--bs=4k', '--ioengine=psync'];
  const bounds = ['--time_based', `--runtime=${seconds}`, '--output-format=json'];
  const args = ['-c', '0', 'fio', ...job, ...bounds];
  const { output } = await runTimed({ program: 'taskset', args, directory });
  const [result] = JSON.parse(output.slice(output.indexOf('{'))).jobs;
  return result.read.iops + result.write.iops;
}
