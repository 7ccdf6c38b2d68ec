/** The figures of the scenarios that are more than one snapshot: see `special.ts`. */
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import type { Message } from '../../scripts/covault-process.ts';
import { cleanUp } from '../../scripts/leftovers.ts';
import { type Bench, record, say, type World } from './bench-state.ts';
import { chooseFiles, layOut } from './data.ts';
import { Fleet } from './fleet.ts';
import { boundOf, othersOf } from './run-scenario.ts';
import { equalRates, layouts, manyName, setRates } from './scenarios.ts';
import { copyAllAtOnce, foundMissing, killSecondary, makeMapStale, workWhileServing } from './special.ts';
import { isIdentical, storeOf, takeCopy } from './take-copy.ts';

export const specialNames = ['serving machine works', 'secondary killed', 'stale map'] as const;

export async function runSpecial(world: World, name: (typeof specialNames)[number]): Promise<void> {
  setRates(world.fleet, equalRates);
  if (name === 'serving machine works') await runWorking(world, name);
  else if (name === 'secondary killed') await runKilled(world, name);
  else await runStale(world, name);
}

async function runWorking(world: World, name: string): Promise<void> {
  const { bench, fleet, files } = world;
  const { summary, seconds, identical, ...work } = await workWhileServing(fleet);
  const operations = `${work.alone | 0} a second alone, ${work.beside | 0} beside a snapshot, ${work.serving | 0} serving it`;
  const lost = `fio lost ${(100 * work.lost).toFixed(1)} % (${operations})`;
  say(`${name.padEnd(26)} ${lost}`);
  record(bench, name, {
    ...(await figuresOf(world, summary)),
    seconds,
    lowerBound: boundOf(files, equalRates),
    identical,
    ...work,
  });
}

/** `totalBytes` are those of both runs. */
async function runKilled(world: World, name: string): Promise<void> {
  const { bench, fleet, files } = world;
  const { summary, seconds, totalBytes, pulledTwice, identical } = await killSecondary(fleet);
  say(`${name.padEnd(26)} pulled twice ${(pulledTwice / 1e6).toFixed(1)} MB of ${(totalBytes / 1e6).toFixed(1)} MB`);
  record(bench, name, {
    ...(await figuresOf(world, summary)),
    totalBytes,
    seconds,
    lowerBound: boundOf(files, equalRates),
    identical,
    pulledTwice,
  });
}

/** Peer 0 has changed files, and peer 2 is dead by then. */
async function runStale(world: World, name: string): Promise<void> {
  const { bench, fleet, files } = world;
  const changed = await makeMapStale(fleet);
  const before = await foundMissing(fleet);
  const store = storeOf(fleet, 'stale');
  const { summary, seconds } = await takeCopy(fleet, { store });
  const after = await foundMissing(fleet);
  const { staleCount } = summary;
  say(
    `${name.padEnd(26)} ${changed} files changed, ${staleCount} wrong entries met, ${after - before} taken out of the map`,
  );
  record(bench, name, {
    ...(await figuresOf(world, summary)),
    seconds,
    lowerBound: boundOf(files, equalRates, [0, 2]),
    identical: await isIdentical(fleet, store),
    staleCount,
    corrected: after - before,
  });
}

/** What all have in common: the others' times, and bytes by where they came from. */
async function figuresOf(world: World, { fromSource, onlyAtSource, newBytes }: Message) {
  const others = await othersOf(world, equalRates);
  return { ...others, sourceBytes: fromSource, sourceOnlyBytes: onlyAtSource, totalBytes: newBytes };
}

/** Smaller data, since it is copied eight times over the same links. */
export async function runManyAtOnce(bench: Bench): Promise<void> {
  const count = 8;
  const { options, scratch } = bench;
  const { scale: _, ...layout } = layouts.held100;
  const files = layOut(await chooseFiles(options.files, options.bytes / 4), layout);
  const directory = await mkdtemp(join(scratch, 'many-'));
  const { peers } = layout;
  const fleet = await Fleet.start({ directory, scratch, folder: options.files, files, peers, secondaries: count });
  try {
    setRates(fleet, equalRates);
    const { summaries, seconds, identical, busiestPeer } = await copyAllAtOnce(fleet, count);
    const sum = (field: string) => summaries.reduce((total, summary) => total + Number(summary[field]), 0);
    record(bench, manyName, {
      restic: null,
      borg: null,
      sourceBytes: sum('fromSource'),
      sourceOnlyBytes: sum('onlyAtSource'),
      totalBytes: sum('newBytes'),
      seconds,
      lowerBound: count * boundOf(files, equalRates),
      identical,
      busiestPeer,
    });
  } finally {
    await fleet.dispose();
    await cleanUp(directory);
  }
}
