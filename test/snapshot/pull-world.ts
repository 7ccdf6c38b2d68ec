/** A pull in a world of fake peers, and what must be true of it whatever they do. */
import assert from 'node:assert/strict';
import { createDigester, type Digester, type DigestKey, digestKey } from '../../src/core/digest.ts';
import { isCovaultError } from '../../src/core/errors.ts';
import type { Block } from '../../src/core/recipe.ts';
import { DigestTable } from '../../src/snapshot/digest-table.ts';
import { HolderSets } from '../../src/snapshot/holder-sets.ts';
import { makePlan, type NeededBlocks } from '../../src/snapshot/plan.ts';
import { type PullOptions, type PullResult, pull } from '../../src/snapshot/pull.ts';
import { FakeChannel, type FakePeer, type Fault } from './fake-peers.ts';
import { VirtualTime } from './virtual-time.ts';

const digester = createDigester(new Uint8Array(32).fill(7));

/** Looks at both ends and the length alone, which is where blocks of these worlds differ and are spoiled: cheap. */
export const testDigester: Digester = {
  digest(data) {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(data.byteLength);
    return digester.digest(Buffer.concat([data.subarray(0, 16), data.subarray(-16), length]));
  },
};
export const sourceName = 'laptop';

export interface World {
  /** See `VirtualTime`. */
  isCoarse?: boolean;
  /** Bytes of each block. */
  lengths: number[];
  /** For each block the peers that the map names, by index in `peers`. */
  holders: number[][];
  peers: { bytesPerSecond: number; latencyMs?: number; fault: Fault }[];
  source: { bytesPerSecond: number; latencyMs?: number; fault: Fault };
}

export interface Outcome {
  result?: PullResult;
  error?: unknown;
  seconds: number;
  channel: FakeChannel;
  stored: Map<DigestKey, number>;
  /** (peer, digest) reported to the repository. */
  reported: { peer: string; digest: DigestKey }[];
  blocks: DigestKey[];
}

/** Longest that any pull of these small worlds may take, virtual milliseconds. */
const msMax = 3_600_000;

export async function runPull(world: World, overrides: Partial<PullOptions> = {}): Promise<Outcome> {
  const time = new VirtualTime({ isCoarse: world.isCoarse ?? false });
  const needed = neededOf(world);
  const blocks = world.lengths.map((_, block) => digestKey(needed.digests.at(block)));
  const numberOf = new Map(blocks.map((key, block) => [key, block]));
  const peers: FakePeer[] = world.peers.map((peer, number) => ({
    latencyMs: 5,
    ...peer,
    name: peerName(number),
    holds: (digest) => world.holders[numberOf.get(digestKey(digest)) ?? -1]?.includes(number) ?? false,
  }));
  const source: FakePeer = { latencyMs: 5, ...world.source, name: sourceName, holds: () => true };
  const channel = new FakeChannel([...peers, source], time, (digest) => {
    const block = needed.digests.find(digest);
    return contentOf(block, needed.lengths[block] as number);
  });
  const stored = new Map<DigestKey, number>();
  const reported: Outcome['reported'] = [];
  const plan = makePlan(needed, { peers: peers.map(() => ({ live: true })), puller: 'secondary' });
  const options: PullOptions = {
    source: sourceName,
    channel,
    sink: {
      async addBlock(block: Block, bytes: Uint8Array) {
        assert.equal(bytes.byteLength, block.length, 'a block of the wrong length was stored');
        assert.deepEqual(Buffer.from(testDigester.digest(bytes)), Buffer.from(block.digest), 'wrong bytes were stored');
        stored.set(digestKey(block.digest), (stored.get(digestKey(block.digest)) ?? 0) + 1);
      },
      async flush() {},
    },
    digester: testDigester,
    holders: {
      async reportMissing(peer, digests) {
        for (const digest of digests) reported.push({ peer, digest: digestKey(digest) });
      },
    },
    clock: time,
    timers: time,
    ...overrides,
  };
  const outcome: Outcome = { seconds: 0, channel, stored, reported, blocks };
  try {
    outcome.result = await time.run(pull(needed, plan, options), msMax);
  } catch (error) {
    if (!isCovaultError(error)) throw error;
    outcome.error = error;
  }
  outcome.seconds = time.monotonicMs() / 1000;
  assert.equal(channel.traffic.underWay, 0, 'a request is still under way');
  assert.equal(time.timerCount, 0, 'a timer is still set');
  return outcome;
}

export function peerName(number: number): string {
  return `peer-${number}`;
}

/** Checks what holds for every pull. */
export function checkInvariants(world: World, outcome: Outcome): void {
  const { stored, channel, blocks, result } = outcome;
  for (const [, times] of stored) assert.equal(times, 1, 'a block was stored twice');
  const isFaultless = world.peers.map((peer) => peer.fault.kind === 'none');
  const fromSource = new Set(channel.traffic.asked.get(sourceName));
  for (const [block, holders] of world.holders.entries()) {
    const key = blocks[block] as DigestKey;
    const isElsewhere = holders.some((peer) => isFaultless[peer]);
    if (isElsewhere) assert.ok(!fromSource.has(key), 'the source was asked for what a faultless peer holds');
    if (isElsewhere || world.source.fault.kind === 'none') assert.ok(stored.has(key), 'a block did not come');
  }
  assert.ok(channel.traffic.underWayMost <= 32, 'too many requests at once');
  assert.ok(channel.traffic.underWayMostToOne <= 3, 'too many requests to one peer at once');
  if (result === undefined) return;
  const lost = new Set(result.lost.map((block) => blocks[block]));
  for (const key of blocks) assert.notEqual(stored.has(key), lost.has(key), 'a block is either stored or lost');
  const bytes = [...result.peerBytes.values()].reduce((sum, more) => sum + more, result.sourceBytes);
  const storedBytes = blocks.reduce((sum, key, block) => sum + (stored.has(key) ? (world.lengths[block] ?? 0) : 0), 0);
  assert.equal(bytes, storedBytes, 'shares do not add up to what was stored');
}

function neededOf(world: World): NeededBlocks {
  const sets = new HolderSets();
  for (const number of world.peers.keys()) sets.peer(peerName(number));
  const digests = new DigestTable();
  for (const [block, length] of world.lengths.entries()) {
    assert.equal(digests.add(testDigester.digest(contentOf(block, length))), block, 'the blocks of a world differ');
  }
  const holders = Uint32Array.from(world.holders, (peers) => sets.intern(peers));
  return { digests, lengths: Uint32Array.from(world.lengths), holders, sets };
}

/** At least four bytes, different for every block; what is far from both ends is left to chance. */
function contentOf(block: number, length: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(length)
    .fill(0, 0, Math.min(16, length))
    .fill(0, Math.max(0, length - 16));
  bytes.writeUInt32LE(block, length - 4);
  return bytes;
}
