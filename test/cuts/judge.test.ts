/** The judge of cuts accepts every state that a history allows, and names what is wrong with every other. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { DataMode } from '../../src/fs/session.ts';
import type { Image, ImageNode } from './image.ts';
import {
  cutBetween,
  doneOf,
  finalLogOf,
  imageOf,
  inventHistories,
  inventHistory,
  type Sight,
  stateAfter,
} from './invented-history.ts';
import { type History, Judge } from './judge.ts';
import { type Operation, shared } from './operation.ts';

const count = 320;
const histories = inventHistories(3, count);

function problems(
  of: readonly History[],
  image: Image,
  { from, to, dataMode = 'write-through' }: { from: number; to: number; dataMode?: DataMode },
): string {
  const judge = new Judge({ dataMode, histories: of, finalLog: finalLogOf(of) });
  return judge.judge(cutBetween(of, from, to, image)).problems.join('\n');
}

/** With one node of it changed. */
function changed(image: Image, path: string, change: Partial<ImageNode>): Image {
  return new Map([...image, [path, { ...(image.get(path) as ImageNode), ...change }]]);
}

/** A path in the image for which something holds. */
function pathWith(image: Image, holds: (node: ImageNode, path: string) => boolean): string {
  const found = [...image].find(([path, node]) => path.startsWith('w') && holds(node, path));
  assert.ok(found, 'the seed makes such a node');
  return found[0];
}

describe('what happened is accepted', () => {
  for (const dataMode of ['write-through', 'writeback'] as const) {
    test(`every state of all writers at one moment (${dataMode})`, () => {
      for (let done = 1; done < count - 8; done += 29) {
        for (const [from, to] of [
          [done, done],
          [done - 1, done + 1],
          [Math.max(0, done - 6), done + 7],
        ] as const) {
          const image = imageOf(histories, { done: [done, done, done] }, dataMode);
          assert.equal(problems(histories, image, { from, to, dataMode }), '', `${done} of ${from} to ${to}`);
        }
      }
    });
  }

  test('an operation under way may be in or not', () => {
    const sights: Sight[] = [{ done: [50, 50, 50] }, { done: [51, 50, 50] }, { done: [51, 51, 51] }];
    for (const sight of sights) assert.equal(problems(histories, imageOf(histories, sight), { from: 50, to: 51 }), '');
  });

  test('the moments say when the cut was', () => {
    const judge = new Judge({ dataMode: 'write-through', histories, finalLog: finalLogOf(histories) });
    const { moments } = judge.judge(cutBetween(histories, 30, 90, imageOf(histories, { done: [60, 60, 60] })));
    const times = histories[2]?.times ?? [];
    const [earliest, latest] = [times[56]?.issued ?? 0n, times[63]?.returned ?? 0n];
    // Not exactly, because some operations change nothing that can be seen.
    assert.ok(moments.length > 0 && moments.every(({ from, to }) => from >= earliest && to <= latest));
  });
});

describe('what did not happen is named', () => {
  test('something from before the cut is missing', () => {
    const image = imageOf(histories, { done: [99, 99, 99] });
    assert.match(problems(histories, image, { from: 104, to: 110 }), /writer 0 has no such state/);
  });

  test('something issued after the cut is in', () => {
    const image = imageOf(histories, { done: [120, 120, 120] });
    assert.match(problems(histories, image, { from: 100, to: 110 }), /writer 0 has no such state/);
  });

  test('writers are of different moments', () => {
    const image = imageOf(histories, { done: [100, 110, 100] });
    assert.match(problems(histories, image, { from: 95, to: 115 }), /writer 1 is of/);
  });

  test('one file of a writer is of an earlier moment than the others', () => {
    const [late, early] = [
      imageOf(histories, { done: [300, 300, 300] }),
      imageOf(histories, { done: [280, 280, 280] }),
    ];
    const path = pathWith(late, (node, name) => {
      const before = early.get(name);
      return node.kind === 'file' && before?.kind === 'file' && !before.content.equals(node.content);
    });
    const { content, mtimeNs } = early.get(path) as ImageNode;
    assert.match(
      problems(histories, changed(late, path, { content, mtimeNs }), { from: 270, to: 310 }),
      /no such state/,
    );
  });

  test('any attribute of any node is wrong', () => {
    const image = imageOf(histories, { done: [200, 200, 200] });
    const accepted: string[] = [];
    const expect = (path: string, change: Partial<ImageNode>) => {
      const told = problems(histories, changed(image, path, change), { from: 190, to: 210 });
      if (told === '') accepted.push(`${path} with ${Object.keys(change)}`);
    };
    // Every third, for all three writers.
    for (const [path, node] of [...image].filter((_, at) => at % 3 === 0)) {
      if (path.startsWith(shared.directory) && !path.startsWith(shared.names)) continue;
      expect(path, { mode: node.mode ^ 0o1 });
      expect(path, { mtimeNs: node.mtimeNs - 10n ** 18n });
      expect(path, { xattrs: [...node.xattrs, ['user.z', 'z']] });
      if (node.kind !== 'directory') expect(path, { nlink: node.nlink + 1 });
      if (node.kind === 'symlink') expect(path, { target: 'elsewhere' });
      if (node.kind === 'file' && node.content.byteLength > 0) {
        const content = Buffer.from(node.content);
        content[content.byteLength >> 1] = (content[content.byteLength >> 1] as number) ^ 1;
        expect(path, { content });
        expect(path, { content: node.content.subarray(1) });
      }
    }
    assert.deepEqual(accepted, []);
  });

  test('a name is missing, or is there too many', () => {
    const image = imageOf(histories, { done: [200, 200, 200] });
    const path = pathWith(image, ({ kind }) => kind === 'file');
    const without = new Map([...image].filter(([name]) => name !== path));
    assert.match(problems(histories, without, { from: 195, to: 205 }), /is not there/);
    const more = new Map([...image, ['w1/more', image.get(path) as ImageNode]]);
    assert.match(problems(histories, more, { from: 195, to: 205 }), /w1\/more is there/);
  });

  test('two names of one file are two files, or two files are one', () => {
    const image = imageOf(histories, { done: [300, 300, 300] });
    const linked = pathWith(image, ({ kind, nlink }) => kind === 'file' && nlink > 1);
    assert.match(problems(histories, changed(image, linked, { number: 7n }), { from: 295, to: 305 }), /its other name/);
    const [one, other] = [...image].filter(([path, { kind }]) => kind === 'file' && path.startsWith('w0/'));
    assert.ok(one && other);
    const merged = changed(image, other[0], { number: one[1].number });
    assert.match(problems(histories, merged, { from: 295, to: 305 }), /the same file|its other name/);
  });
});

describe('files that all writers write', () => {
  test('a record that was written before the cut is missing', () => {
    const { writer, order } = doneOf(histories, 'record').find((found) => found.order > 150) ?? { writer: 0, order: 0 };
    const before = imageOf(histories, { done: [order, order, order] });
    const after = imageOf(histories, { done: [order + 4, order + 4, order + 4] });
    const image = changed(after, shared.records, { content: (before.get(shared.records) as ImageNode).content });
    assert.match(
      problems(histories, image, { from: order + 3, to: order + 5 }),
      new RegExp(`of writer ${writer}|no such`),
    );
  });

  test('the log is shorter, longer, or other than it was at that moment', () => {
    const done = [200, 200, 200];
    const right = imageOf(histories, { done });
    const log = (right.get(shared.log) as ImageNode).content;
    const window = { from: 198, to: 202 };
    assert.equal(problems(histories, right, window), '');
    for (const content of [
      log.subarray(0, log.byteLength - 1024),
      log.subarray(0, log.byteLength - 100),
      finalLogOf(histories).subarray(0, log.byteLength + 2048),
      Buffer.concat([log.subarray(0, 512), Buffer.alloc(512), log.subarray(1024)]),
    ]) {
      assert.match(problems(histories, changed(right, shared.log, { content }), window), /log/);
    }
  });

  test('the name that all compete for has what was replaced, or what was not published yet', () => {
    const all = doneOf(histories, 'publish');
    const at = all.findIndex(({ order }) => order > 200);
    const [before, , , after] = all.slice(at - 2);
    const done = [200, 200, 200];
    assert.ok(before && after);
    for (const published of [all[at - 4], after, undefined, { writer: 0, order: 1 }]) {
      const told = problems(histories, imageOf(histories, { done, published }), { from: 199, to: 201 });
      assert.match(told, /compete|published/);
    }
  });
});

describe('what arrives late', () => {
  const operations: Operation[] = [
    { act: 'create', path: 'w0/a', slot: 0 },
    { act: 'write', slot: 0, offset: 0, length: 6000, zero: false },
    { act: 'fsync', slot: 0 },
    { act: 'write', slot: 0, offset: 100, length: 50, zero: false },
    { act: 'write', slot: 0, offset: 5000, length: 2000, zero: false },
    { act: 'rename', path: 'w0/a', to: 'w0/b' },
    { act: 'fsync', slot: 0 },
    { act: 'write', slot: 0, offset: 0, length: 10, zero: false },
    { act: 'mkdir', path: 'w0/c' },
  ];
  const one = [inventHistory(0, operations)];
  /** As after the rename, with another content. */
  const withContent = (path: string, done: number, content: Buffer) =>
    changed(imageOf(one, { done: [done] }, 'writeback'), path, {
      content,
      mtimeNs: (one[0] as History).dayOffsetNs + 5_010_000_000n,
    });
  const contentAfter = (done: number) => stateAfter(one[0] as History, done, 'writeback').inSlot(0).content.data;
  const told = (image: Image, from: number, to: number, dataMode: DataMode = 'writeback') =>
    problems(one, image, { from, to, dataMode });

  test('may be missing page by page until the next flush, in writeback mode only', () => {
    const [flushed, latest] = [contentAfter(3), contentAfter(5)];
    const firstOnly = Buffer.concat([contentAfter(4).subarray(0, 4096), flushed.subarray(4096)]);
    const secondOnly = Buffer.concat([flushed.subarray(0, 4096), latest.subarray(4096)]);
    for (const content of [flushed, firstOnly, secondOnly, latest]) {
      assert.equal(told(withContent('w0/b', 6, content), 3, 6), '');
    }
    assert.match(told(withContent('w0/b', 6, flushed), 3, 6, 'write-through'), /bytes/);
  });

  test('is there once it was flushed', () => {
    const image = withContent('w0/b', 7, contentAfter(3));
    assert.equal(told(image, 3, 6), '', 'the flush need not have been');
    const later = withContent('w0/b', 9, contentAfter(3));
    assert.notEqual(told(later, 3, 8), '', 'the directory made after the flush says that it was');
  });

  test('is there if it was written before the cut began', () => {
    const image = withContent('w0/b', 6, contentAfter(4));
    assert.equal(told(image, 4, 6), '');
    assert.match(told(image, 5, 6), /bytes/);
  });

  test('never has bytes that nobody wrote, nor a page mixed of three states', () => {
    const wrong = Buffer.from(contentAfter(5));
    wrong[120] = 0xee;
    assert.match(told(withContent('w0/b', 6, wrong), 3, 6), /other bytes at 120/);
    assert.match(told(withContent('w0/b', 6, contentAfter(5).subarray(0, 6500)), 3, 6), /6500 bytes/);
  });
});

describe('a copy in writeback mode', () => {
  const operations: Operation[] = [
    { act: 'create', path: 'w0/a', slot: 0 },
    { act: 'write', slot: 0, offset: 0, length: 9000, zero: false },
    { act: 'fsync', slot: 0 },
    { act: 'utimes', path: 'w0/a', mtimeNs: '12345' },
    { act: 'copy', from: 0, to: 0, fromOffset: 5000, offset: 100, length: 800 },
    { act: 'mkdir', path: 'w0/c' },
  ];
  const one = [inventHistory(0, operations)];
  const after = (done: number) => imageOf(one, { done: [done] }, 'writeback');
  const told = (image: Image, dataMode: DataMode) => problems(one, image, { from: 4, to: 5, dataMode });
  const { mtimeNs, content } = after(4).get('w0/a') as ImageNode;

  test('may be in before its time is', () => {
    const early = changed(after(5), 'w0/a', { mtimeNs });
    assert.equal(told(early, 'writeback'), '');
    assert.match(told(early, 'write-through'), /no such state/);
    assert.match(told(changed(after(6), 'w0/a', { content }), 'writeback'), /other bytes at 100/);
  });
});

describe('a write under way', () => {
  const write: Operation = { act: 'write', slot: 0, offset: 3000, length: 3000, zero: false };
  const before: Operation[] = [
    { act: 'create', path: 'w0/a', slot: 0 },
    { act: 'write', slot: 0, offset: 0, length: 6000, zero: false },
    { act: 'fsync', slot: 0 },
  ];
  const one = [inventHistory(0, [...before, write, { act: 'mkdir', path: 'w0/c' }])];
  /** As if that had been all of it. */
  const withPart = (length: number) => imageOf([inventHistory(0, [...before, { ...write, length }])], { done: [4] });

  test('may have the part that ends the first page, and no other', () => {
    const underWay = { from: 3, to: 4 };
    assert.equal(problems(one, withPart(4096 - 3000), underWay), '');
    for (const length of [1000, 1100, 2000]) assert.match(problems(one, withPart(length), underWay), /no such state/);
  });

  test('is there whole once it has returned, and in writeback mode page by page in any case', () => {
    assert.match(problems(one, withPart(4096 - 3000), { from: 4, to: 4 }), /no such state/);
    const late = imageOf(
      [inventHistory(0, [...before, { ...write, length: 4096 - 3000 }])],
      { done: [4] },
      'writeback',
    );
    assert.equal(problems(one, late, { from: 3, to: 4, dataMode: 'writeback' }), '');
  });
});
