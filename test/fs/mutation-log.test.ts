/** The mutation log through the addon: order, folding, overflow. `native/test/` tests it from several threads. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import type { Mutation } from '../../src/core/mutation.ts';
import { loadAddon, type MutationLog, type MutationLogOptions } from '../../src/fs/addon.ts';
import { createMutationDecoder } from '../../src/fs/mutation-codec.ts';
import { describeMutation } from '../support/mount-protocol.ts';

const { mutationLayout, MutationLog: Log } = loadAddon();
const decode = createMutationDecoder(mutationLayout);
const rootInode = 2n;

const inode = fc.bigInt({ min: 3n, max: 6n });
const place = fc.integer({ min: 0, max: 40 });
const name = fc.uint8Array({ minLength: 1, maxLength: 255 });
const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('content'),
      inode,
      offset: place,
      length: fc.integer({ min: 1, max: 9 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('truncate'), inode, size: place }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constantFrom('create', 'link', 'unlink'), inode, parent: inode, name }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('rename'),
      inode,
      parent: inode,
      name,
      newParent: inode,
      newName: name,
      exchange: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('attributes', 'xattrs', 'inode', 'subtree'), inode }) },
) as fc.Arbitrary<Mutation>;

function report(log: MutationLog, one: Mutation): void {
  const kind = mutationLayout.kinds[one.kind];
  switch (one.kind) {
    case 'content':
      log.report(kind, one.inode, BigInt(one.offset), BigInt(one.length));
      break;
    case 'truncate':
      log.report(kind, one.inode, BigInt(one.size));
      break;
    case 'create':
    case 'link':
    case 'unlink':
      log.report(kind, one.inode, one.parent, 0n, one.name);
      break;
    case 'rename':
      log.report(kind, one.inode, one.parent, one.newParent, one.name, one.newName, one.exchange);
      break;
    default:
      log.report(kind, one.inode);
  }
}

function drain(log: MutationLog): { sequence: number; mutations: Mutation[] } {
  const mutations: Mutation[] = [];
  let sequence = 0;
  for (let batch = log.take(); batch !== undefined; batch = log.take()) {
    const decoded = decode(batch);
    assert.ok(decoded.sequence > sequence, 'sequence numbers grow');
    sequence = decoded.sequence;
    mutations.push(...decoded.mutations.filter((each) => each.kind !== 'cut'));
  }
  return { sequence, mutations };
}

function withLog<T>(options: Omit<MutationLogOptions, 'rootInode'>, use: (log: MutationLog) => T): T {
  const log = new Log({ rootInode, ...options }, () => {});
  try {
    return use(log);
  } finally {
    log.close();
  }
}

const changesNames = (one: Mutation) => ['create', 'link', 'unlink', 'rename', 'subtree'].includes(one.kind);

/** Everything but the exact content records: what must come out one by one, repetitions in a row but once. */
function plainRecords(mutations: readonly Mutation[]): Mutation[] {
  return mutations.filter((one, i) => {
    if (one.kind === 'content') return false;
    const before = mutations[i - 1];
    const repeats = before?.kind === one.kind && before.inode === one.inode;
    return !(repeats && ['attributes', 'xattrs', 'inode', 'subtree'].includes(one.kind));
  });
}

/**
 * Bytes written to each inode, apart for each stretch between records that folding must not cross: those that change
 * names, and others about the same inode.
 */
function writtenBytes(mutations: readonly Mutation[]): string[] {
  const stretches: string[] = [];
  const open = new Map<bigint, Set<number>>();
  const end = (one: bigint) => {
    const bytes = open.get(one);
    if (bytes) stretches.push(`${one}: ${[...bytes].sort((a, b) => a - b)}`);
    open.delete(one);
  };
  for (const one of mutations) {
    if (one.kind === 'content') {
      const bytes = open.get(one.inode) ?? new Set();
      for (let i = 0; i < one.length; i++) bytes.add(one.offset + i);
      open.set(one.inode, bytes);
    } else if (changesNames(one)) for (const each of [...open.keys()].sort()) end(each);
    else end(one.inode);
  }
  for (const each of [...open.keys()].sort()) end(each);
  return stretches;
}

test('mutations come out as they went in, in order, with touching ranges joined', () => {
  fc.assert(
    fc.property(fc.array(mutation, { maxLength: 200 }), (reported) => {
      const { sequence, mutations } = withLog({}, (log) => {
        for (const one of reported) report(log, one);
        assert.equal(log.mark(), reported.length);
        return drain(log);
      });
      assert.equal(sequence, reported.length);
      assert.deepEqual(plainRecords(mutations).map(line), plainRecords(reported).map(line));
      assert.deepEqual(writtenBytes(mutations), writtenBytes(reported));
    }),
  );
});

test('chunks of any size make no difference to what comes out', () => {
  const sizes = fc.record({
    chunkBytes: fc.integer({ min: 700, max: 4000 }),
    takeEvery: fc.integer({ min: 1, max: 50 }),
  });
  fc.assert(
    fc.property(fc.array(mutation, { maxLength: 200 }), sizes, (reported, { chunkBytes, takeEvery }) => {
      const mutations = withLog({ chunkBytes }, (log) => {
        const taken: Mutation[] = [];
        reported.forEach((one, i) => {
          report(log, one);
          if (i % takeEvery === 0) taken.push(...drain(log).mutations);
        });
        return [...taken, ...drain(log).mutations];
      });
      const distinct = (all: readonly Mutation[]) => new Set(plainRecords(all).map(line));
      assert.deepEqual(distinct(mutations), distinct(reported));
      assert.deepEqual(allBytes(mutations), allBytes(reported));
    }),
  );
});

/** Everything of a mutation as one text. */
const line = (one: Mutation) => describeMutation(one, String);

function allBytes(mutations: readonly Mutation[]): string[] {
  const bytes = new Set<string>();
  for (const one of mutations) {
    if (one.kind !== 'content') continue;
    for (let i = 0; i < one.length; i++) bytes.add(`${one.inode}:${one.offset + i}`);
  }
  return [...bytes].sort();
}

/** Whether a reader of `delivered` looks at everything that `one` changed. */
function isCovered(one: Mutation, delivered: readonly Mutation[]): boolean {
  const has = (kind: Mutation['kind'], subject: bigint) =>
    delivered.some((other) => other.kind === kind && other.inode === subject);
  if (has('subtree', rootInode) || delivered.some((other) => line(other) === line(one))) return true;
  switch (one.kind) {
    case 'content':
      return (
        has('inode', one.inode) ||
        delivered.some(
          (other) =>
            other.kind === 'content' &&
            other.inode === one.inode &&
            other.offset <= one.offset &&
            other.offset + other.length >= one.offset + one.length,
        )
      );
    case 'create':
    case 'link':
    case 'unlink':
      return has('inode', one.inode) && has('subtree', one.parent);
    case 'rename':
      return has('inode', one.inode) && has('subtree', one.parent) && has('subtree', one.newParent);
    case 'subtree':
      return false;
    default:
      return has('inode', one.inode);
  }
}

test('a full log gives coarser mutations and loses none', () => {
  const limits = fc.record({
    chunksMax: fc.integer({ min: 1, max: 3 }),
    coarseRecordsMax: fc.integer({ min: 1, max: 8 }),
  });
  fc.assert(
    fc.property(
      fc.array(mutation, { minLength: 1, maxLength: 200 }),
      limits,
      (reported, { chunksMax, coarseRecordsMax }) => {
        withLog({ chunkBytes: 700, chunksMax, coarseRecordsMax }, (log) => {
          for (const one of reported) report(log, one);
          assert.ok(log.statistics().bytesWaiting <= 700 * chunksMax);
          const { sequence, mutations } = drain(log);
          assert.equal(sequence, reported.length);
          for (const one of reported) assert.ok(isCovered(one, mutations), `lost: ${line(one)}`);
          // Coarse mutations stand behind all exact ones, and the log is exact again afterwards.
          const exact: Mutation = { kind: 'create', inode: 9n, parent: 3n, name: Buffer.from('new') };
          report(log, exact);
          assert.deepEqual(drain(log).mutations.map(line), [line(exact)]);
        });
      },
    ),
  );
});

test('an overflow beyond all bounds is one mutation of the whole data directory', () => {
  withLog({ chunkBytes: 512, chunksMax: 1, coarseRecordsMax: 2 }, (log) => {
    for (let i = 0n; i < 1000n; i++) report(log, { kind: 'attributes', inode: 10n + i });
    const { mutations } = drain(log);
    assert.deepEqual(mutations.at(-1), { kind: 'subtree', inode: rootInode });
    const { overflows, coarsened, accepted } = log.statistics();
    assert.deepEqual({ overflows, accepted }, { overflows: 1, accepted: 1000 });
    assert.ok(coarsened > 900);
  });
});

test('JavaScript is woken once until it has found the log empty', async (t) => {
  let wakeups = 0;
  const log = new Log({ rootInode }, () => {
    wakeups += 1;
  });
  t.after(() => log.close());
  const wokenTimes = async (times: number) => {
    while (wakeups < times) await delay(1);
    // A further wake-up would come soon after.
    await delay(20);
    assert.equal(wakeups, times);
  };
  for (let i = 0n; i < 100n; i++) report(log, { kind: 'inode', inode: i });
  await wokenTimes(1);
  assert.equal(drain(log).mutations.length, 100);
  report(log, { kind: 'inode', inode: 1n });
  await wokenTimes(2);
});

test('a range beyond what JavaScript can count is a mutation of the whole inode', () => {
  withLog({}, (log) => {
    log.report(mutationLayout.kinds.content, 7n, 2n ** 60n, 10n);
    log.report(mutationLayout.kinds.truncate, 8n, 2n ** 62n);
    assert.deepEqual(drain(log).mutations, [
      { kind: 'inode', inode: 7n },
      { kind: 'inode', inode: 8n },
    ]);
  });
});

test('a damaged batch is refused', () => {
  withLog({}, (log) => {
    report(log, { kind: 'create', inode: 3n, parent: 4n, name: Buffer.from('name') });
    const batch = log.take() as Uint8Array;
    const damaged = (change: (bytes: Uint8Array) => Uint8Array) => change(new Uint8Array(batch));
    const broken = [
      damaged((bytes) => bytes.subarray(0, 8)),
      damaged((bytes) => bytes.subarray(0, bytes.byteLength - 8)),
      damaged((bytes) => Buffer.concat([bytes, Buffer.alloc(8)])),
      damaged((bytes) => bytes.fill(99, mutationLayout.batchHeaderBytes, mutationLayout.batchHeaderBytes + 1)),
      damaged((bytes) => bytes.fill(255, mutationLayout.batchCount, mutationLayout.batchCount + 4)),
    ];
    for (const bytes of broken) assert.throws(() => decode(bytes), { code: 'E_CORRUPT' });
  });
});
