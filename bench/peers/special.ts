/** Scenarios that are more than one snapshot with something happening in it. */
import { open, readdir, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runTimed } from '../measure.ts';
import { type Fleet, peerName, secondaryName, sourceName } from './fleet.ts';
import { isIdentical, runSnapshot, storeOf, takeCopy } from './take-copy.ts';

const fioFile = 'fio.data';
/** Shorter than the snapshot beside it. */
const fioSeconds = 8;

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
 * holds the old content. Returns how many files were changed.
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
  for (;;) {
    const { index } = await fleet.status(name);
    if (index.isLevel) return changed.length;
    await sleep(500);
  }
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
 * `fio` in the data directory of a client, alone and while that client serves: operations a second. The client and fio
 * are bound to one processor, everything else to the others, since the hosts of this benchmark share a machine.
 */
export async function workWhileServing(fleet: Fleet) {
  const { data, daemon } = fleet.client(peerName(0));
  const processors = availableParallelism();
  if (processors < 2) throw new Error('needs two processors: one for the client that works, one for all others');
  const others = `1-${processors - 1}`;
  await bind(daemon.child.pid as number, '0');
  for (const [name, client] of fleet.clients) {
    if (name !== peerName(0)) await bind(client.daemon.child.pid as number, others);
  }
  try {
    const alone = await runFio(data, fioSeconds);
    const flowing = Promise.withResolvers<void>();
    const store = storeOf(fleet, 'while-fio');
    const start = performance.now();
    const snapshot = runSnapshot(fleet, {
      store,
      onStart: (pid) => void bind(pid, others),
      midway: { after: 0.02, act: () => flowing.resolve() },
    });
    await Promise.race([flowing.promise, snapshot]);
    const serving = await runFio(data, fioSeconds);
    const { last: summary, exitCode } = await snapshot;
    if (exitCode !== 0) throw new Error(`the snapshot ended with ${exitCode}: ${JSON.stringify(summary)}`);
    const seconds = (performance.now() - start) / 1000;
    const served = sentBy(summary, peerName(0));
    return {
      summary,
      seconds,
      identical: await isIdentical(fleet, store),
      alone,
      serving,
      lost: 1 - serving / alone,
      served,
    };
  } finally {
    await rm(join(data, fioFile), { force: true });
    for (const { daemon } of fleet.clients.values()) await bind(daemon.child.pid as number, `0-${processors - 1}`);
  }
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
