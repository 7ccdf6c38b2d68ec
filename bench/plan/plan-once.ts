/**
 * Plans one large instance in a process of its own, so that its memory is that of the plan and its input alone. Prints
 * one line of JSON: figures of the plan and of the process.
 */
import { createHash } from 'node:crypto';
import { parseArgs } from 'node:util';
import { DigestTable } from '../../src/snapshot/digest-table.ts';
import { HolderSets } from '../../src/snapshot/holder-sets.ts';
import { makePlan, type NeededBlocks } from '../../src/snapshot/plan.ts';

const { values } = parseArgs({
  options: { blocks: { type: 'string' }, peers: { type: 'string' }, holders: { type: 'string' } },
});
const blocks = Number(values.blocks);
const peers = Number(values.peers);
const holders = Number(values.holders);

/** A sequence of 32-bit numbers that is the same each time (xorshift, Marsaglia, J. Stat. Soft. 8, 2003). */
function numbersFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** Every block with `holders` of the peers, chosen for each block anew. */
function makeNeeded(): NeededBlocks {
  const next = numbersFrom(2463534242);
  const sets = new HolderSets();
  const order = Array.from({ length: peers }, (_, peer) => sets.peer(`peer-${peer}`));
  const digests = new DigestTable();
  const lengths = new Uint32Array(blocks);
  const setOf = new Uint32Array(blocks);
  for (let block = 0; block < blocks; block++) {
    digests.add(createHash('sha256').update(String(block)).digest());
    lengths[block] = 64 * 1024 + (next() % (448 * 1024));
    // The first steps of a shuffle.
    for (let at = 0; at < holders; at++) {
      const from = at + (next() % (peers - at));
      [order[at], order[from]] = [order[from] as number, order[at] as number];
    }
    setOf[block] = sets.intern(order.slice(0, holders));
  }
  return { digests, lengths, holders: setOf, sets };
}

const needed = makeNeeded();
const speeds = [12.5e6, 6.25e6, 2.5e6, 0.625e6];
const conditions = Array.from({ length: peers }, (_, peer) => ({
  live: true,
  bytesPerSecond: speeds[peer % speeds.length] as number,
  load: peer % 5,
}));
const start = performance.now();
const cpu = process.cpuUsage();
const plan = makePlan(needed, { peers: conditions, puller: 'vault' });
const { user, system } = process.cpuUsage(cpu);
const seconds = (performance.now() - start) / 1000;
const result = {
  seconds,
  cpuSeconds: (user + system) / 1e6,
  peakMiB: process.resourceUsage().maxRSS / 1024,
  distinctSets: needed.sets.setCount - 1,
  planSeconds: plan.seconds,
  groups: plan.groups.bytes.length,
  sourceGroups: plan.source.length,
};
process.stdout.write(`${JSON.stringify(result)}\n`);
