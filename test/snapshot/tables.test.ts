/** The compact tables against plain maps and sets. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { DigestTable } from '../../src/snapshot/digest-table.ts';
import { HolderSets, nobody } from '../../src/snapshot/holder-sets.ts';

describe('a table of digests', () => {
  test('numbers digests by first arrival, like a map', () => {
    // Few different bytes, so that many digests begin alike and meet in the same slots.
    const digest = fc.uint8Array({ minLength: 32, maxLength: 32, max: 1 });
    fc.assert(
      fc.property(fc.array(digest, { maxLength: 500 }), (digests) => {
        const table = new DigestTable();
        const model = new Map<string, number>();
        for (const some of digests) {
          const key = Buffer.from(some).toString('hex');
          assert.equal(table.find(some), model.get(key) ?? -1);
          if (!model.has(key)) model.set(key, model.size);
          assert.equal(table.add(some), model.get(key));
          assert.equal(table.count, model.size);
        }
        for (const [key, number] of model) assert.equal(Buffer.from(table.at(number)).toString('hex'), key);
      }),
    );
  });
});

describe('interned sets of peers', () => {
  const peers = fc.uniqueArray(fc.nat(99), { maxLength: 20 });

  test('are equal exactly when their members are, however many peers come to be known', () => {
    fc.assert(
      fc.property(fc.array(peers, { maxLength: 100 }), (sets) => {
        const table = new HolderSets();
        const numbers = sets.map((set) => table.intern(set.map((peer) => table.peer(`peer ${peer}`))));
        const members = (set: number) =>
          table
            .peersOf(set)
            .map((peer) => table.nameOf(peer))
            .toSorted();
        sets.forEach((set, index) => {
          assert.deepEqual(members(numbers[index] as number), set.map((peer) => `peer ${peer}`).toSorted());
        });
        assert.equal(new Set(numbers).size, new Set(sets.map((set) => set.toSorted().join())).size);
      }),
    );
  });

  test('lose members one by one until nobody is left', () => {
    fc.assert(
      fc.property(peers, (names) => {
        const table = new HolderSets();
        const numbers = names.map((name) => table.peer(`peer ${name}`));
        let set = table.intern(numbers);
        const left = new Set(numbers);
        for (const peer of numbers) {
          set = table.without(set, peer);
          left.delete(peer);
          assert.equal(table.has(set, peer), false);
          assert.deepEqual(
            table.peersOf(set),
            [...left].toSorted((a, b) => a - b),
          );
          assert.equal(table.without(set, peer), set);
        }
        assert.equal(set, nobody);
      }),
    );
  });
});
