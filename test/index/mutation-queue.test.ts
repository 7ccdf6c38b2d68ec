/** The queue keeps order, stops at markers, and never loses that something changed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Mutation } from '../../src/core/mutation.ts';
import { type Marker, MutationQueue } from '../../src/index/mutation-queue.ts';
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
