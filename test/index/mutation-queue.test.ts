/** The queue keeps order, stops at markers, and never loses that something changed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Mutation } from '../../src/core/mutation.ts';
import { type Marker, MutationQueue } from '../../src/index/mutation-queue.ts';
import { packMutations } from '../../src/index/packed-mutations.ts';
import type { RangeSet } from '../../src/index/ranges.ts';

const root = 7n;

function content(inode: bigint, offset = 0, length = 10): Mutation {
  return { kind: 'content', inode, offset, length };
}

function makeMarker(): Marker {
  return { hasBegun: false, hasRetried: false, searches: 0, reached: () => undefined, failed: () => undefined };
}

test('mutations come out in order, none from behind a marker', () => {
  const queue = new MutationQueue(root);
  const marker = makeMarker();
  queue.push([content(1n), content(2n)]);
  queue.pushMarker(marker);
  queue.push([content(3n)]);
  assert.deepEqual(queue.take(1), [content(1n)]);
  assert.equal(queue.firstMarker, undefined);
  assert.deepEqual(queue.take(10), [content(2n)]);
  assert.equal(queue.firstMarker, marker);
  assert.deepEqual(queue.take(10), []);
  queue.removeMarker(marker);
  assert.deepEqual(queue.take(10), [content(3n)]);
  assert.equal(queue.length, 0);
});

test('too many become one on each side of a marker, which says that anything may have changed', () => {
  const queue = new MutationQueue(root, 100);
  const marker = makeMarker();
  queue.push(Array.from({ length: 60 }, (_, number) => content(BigInt(number))));
  queue.pushMarker(marker);
  queue.push(Array.from({ length: 60 }, (_, number) => content(BigInt(number))));
  assert.deepEqual(queue.take(1000), [{ kind: 'subtree', inode: root }]);
  assert.equal(queue.firstMarker, marker);
  assert.deepEqual(queue.takeMarkers(), [marker]);
  assert.deepEqual(queue.take(1000), [{ kind: 'subtree', inode: root }]);
  assert.equal(queue.length, 0);
});

test('a marker comes where the engine made its cut; a cut that nobody expects changes nothing', () => {
  const queue = new MutationQueue(root);
  const marker = makeMarker();
  queue.expectMarker(7n, marker);
  assert.ok(queue.hasMarker);
  queue.push([content(1n)]);
  queue.pushCut(6n);
  queue.pushCut(7n);
  queue.push([content(2n)]);
  assert.deepEqual(queue.take(10), [content(1n)]);
  assert.equal(queue.firstMarker, marker);
  queue.removeMarker(marker);
  assert.deepEqual(queue.take(10), [content(2n)]);
  assert.ok(!queue.hasMarker);
});

test('what waits can be asked for by inode', () => {
  const queue = new MutationQueue(root);
  queue.push([content(1n), content(2n, 100, 50), content(2n, 500, 5), { kind: 'attributes', inode: 3n }]);
  assert.deepEqual((queue.extentOf(2n, 10) as RangeSet).offsets, [100, 150, 500, 510]);
  assert.equal(queue.extentOf(3n, 10), undefined);
  queue.push([{ kind: 'inode', inode: 2n }]);
  assert.equal(queue.extentOf(2n, 10), 'whole');
  queue.take(10);
  assert.equal(queue.extentOf(2n, 10), undefined);
});

/** Numbers and names as large as they get, of every kind. */
function mutationsOf(number: number): Mutation[] {
  const inode = 0xffff_ffff_ffff_0000n + BigInt(number);
  const place = { parent: BigInt(number), name: Uint8Array.from([number % 251, 255, 128]) };
  const to = { newParent: inode, newName: Uint8Array.from([1]) };
  return [
    { kind: 'content', inode, offset: 2 ** 52, length: number },
    { kind: 'truncate', inode, size: number },
    { kind: 'create', inode, ...place },
    { kind: 'link', inode, ...place },
    { kind: 'unlink', inode, ...place },
    { kind: 'rename', inode, ...place, ...to, exchange: number % 2 === 0 },
    { kind: 'attributes', inode },
    { kind: 'xattrs', inode },
    { kind: 'inode', inode },
    { kind: 'subtree', inode },
  ];
}

test('thousands that wait come out as they went in, are found by inode, and stop at markers among them', () => {
  const all = Array.from({ length: 300 }, (_, number) => mutationsOf(number)).flat();
  const queue = new MutationQueue(root);
  const marker = makeMarker();
  queue.push(all.slice(0, 1700));
  queue.pushMarker(marker);
  queue.push(all.slice(1700));
  assert.equal(queue.length, 3001);
  assert.equal(queue.extentOf(0xffff_ffff_ffff_0000n + 140n, 10), 'whole');
  assert.equal(queue.extentOf(5n, 10), undefined);
  const out: Mutation[] = [];
  const taken = (max: number) => {
    const some = queue.take(max).map((each) => Object.assign(each, namesAsArrays(each)));
    out.push(...some);
    return some.length;
  };
  while (taken(97) > 0) assert.equal(queue.length, 3001 - out.length);
  assert.equal(out.length, 1700);
  assert.equal(queue.firstMarker, marker);
  queue.removeMarker(marker);
  while (taken(2000) > 0) assert.equal(queue.length, 3000 - out.length);
  assert.deepEqual(out, all);
});

function namesAsArrays(mutation: Mutation): object {
  const entries = Object.entries(mutation).filter(([, value]) => value instanceof Uint8Array);
  return Object.fromEntries(entries.map(([key, value]) => [key, Uint8Array.from(value)]));
}

test('a mutation that waits takes less than a hundred bytes', () => {
  const { bytes, inodes } = packMutations(Array.from({ length: 50 }, (_, number) => mutationsOf(number)).flat());
  assert.ok(bytes.byteLength + inodes.byteLength < 500 * 100);
});
