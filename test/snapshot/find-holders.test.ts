/** Gathering needed blocks and asking the map who holds them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Digest, type DigestKey, digestKey } from '../../src/core/digest.ts';
import type { Block } from '../../src/core/recipe.ts';
import { findHolders } from '../../src/snapshot/find-holders.ts';
import { NeededGatherer } from '../../src/snapshot/needed-blocks.ts';
import { testDigester } from '../store/store-fixture.ts';

const digestOf = (name: string): Digest => testDigester.digest(Buffer.from(name));
const blocksOf = (name: string, count: number): Block[] =>
  Array.from({ length: count }, (_, index) => ({ digest: digestOf(`${name} ${index}`), length: 100 + index }));

/** A map of holders that says what it was asked. */
function mapOf(holders: Map<DigestKey, string[]>) {
  const asked: DigestKey[] = [];
  return {
    asked,
    async holdersOf(digests: readonly Digest[]) {
      asked.push(...digests.map(digestKey));
      return digests.map((digest) => holders.get(digestKey(digest)) ?? []);
    },
  };
}

describe('gathering needed blocks', () => {
  test('takes each block once, in file order, and none that the store has', () => {
    const [first, second, third] = blocksOf('a', 3) as [Block, Block, Block];
    const needed = new NeededGatherer({ hasBlock: (digest) => digestKey(digest) === digestKey(second.digest) });
    needed.add([third, { length: 500 }, first]);
    needed.addRecipe(digestOf('recipe'), [first, second, third]);
    assert.equal(needed.count, 2);
    assert.equal(needed.bytes, third.length + first.length);
    assert.deepEqual([...needed.lengths()], [third.length, first.length]);
    assert.deepEqual(needed.runs, [], 'a recipe without new blocks is no run');
  });

  test('refuses a block that comes with two lengths', () => {
    const needed = new NeededGatherer({ hasBlock: () => false });
    needed.add([{ digest: digestOf('x'), length: 1 }]);
    assert.throws(() => needed.add([{ digest: digestOf('x'), length: 2 }]), { code: 'E_CORRUPT' });
  });
});

describe('finding holders', () => {
  test('asks for whole files first, and for the blocks of those that few hold', async () => {
    const needed = new NeededGatherer({ hasBlock: () => false });
    const popular = digestOf('popular');
    const rare = digestOf('rare');
    needed.add(blocksOf('inline', 2));
    needed.addRecipe(popular, blocksOf('popular', 6));
    needed.addRecipe(rare, blocksOf('rare', 5));
    const holders = new Map<DigestKey, string[]>([
      [digestKey(popular), ['desktop', 'laptop', 'server', 'tablet']],
      [digestKey(rare), ['laptop', 'server']],
      [digestKey(digestOf('inline 1')), ['tablet']],
      ...blocksOf('rare', 5).map(({ digest }, index): [DigestKey, string[]] => [
        digestKey(digest),
        index === 3 ? ['server', 'desktop', 'laptop'] : ['server', 'laptop'],
      ]),
    ]);
    const map = mapOf(holders);
    const found = await findHolders(needed, map, { leftOut: new Set(['laptop']) });
    const names = [...found.holders].map((set) =>
      found.sets
        .peersOf(set)
        .map((peer) => found.sets.nameOf(peer))
        .toSorted(),
    );
    const everybody = ['desktop', 'server', 'tablet'];
    assert.deepEqual(names, [
      [],
      ['tablet'],
      ...Array.from({ length: 6 }, () => everybody),
      ['server'],
      ['server'],
      ['server'],
      ['desktop', 'server'],
      ['server'],
    ]);
    assert.ok(!map.asked.includes(digestKey(digestOf('popular 0'))), 'nobody asks for parts of what many hold whole');
    assert.ok(!found.sets.names().includes('laptop'));
    assert.deepEqual([...found.lengths], [...needed.lengths()]);
  });

  test('asks in bounded parts', async () => {
    const needed = new NeededGatherer({ hasBlock: () => false });
    needed.add(Array.from({ length: 40_000 }, (_, index) => ({ digest: digestOf(`${index}`), length: 1 })));
    const sizes: number[] = [];
    const done: number[] = [];
    await findHolders(
      needed,
      {
        async holdersOf(digests) {
          sizes.push(digests.length);
          return digests.map(() => []);
        },
      },
      { leftOut: new Set(), onProgress: (blocks) => done.push(blocks) },
    );
    assert.deepEqual(sizes, [16_384, 16_384, 7_232]);
    assert.deepEqual(done, [16_384, 32_768, 40_000]);
  });
});
