/** What a person is told of a daemon. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeStatus } from '../../src/commands/status.ts';

const noCuts = {
  open: [] as { id: number; ageMs: number }[],
  opened: 0,
  failed: 0,
  spaceBytes: 0,
  spaceBytesMax: 10_000_000_000,
  heldLastNs: 0,
  heldP99Ns: 0,
  flushLastMs: 0,
};

const alone = {
  mountpoint: '/data',
  dataMode: 'writeback',
  transport: 'device',
  member: null,
  mount: { requests: { lookup: 1000, read: 500 }, mutations: { coarsened: 0 }, cuts: noCuts },
  index: {
    isLevel: true,
    files: 1234,
    bytes: 5_000_000,
    directories: 7,
    bytesHashed: 5_000_000,
    filesDirty: 0,
    filesBeingHashed: 0,
    unreadable: 0,
    unsettled: 0,
    misses: 0,
    missesOpen: 0,
    found: 'clean',
    lastScan: { files: 1234, filesChanged: 3, seconds: 1.25 },
    unreadablePaths: [],
    rolling: { bytesPerDay: 10e9, files: 617, directories: 3, bytes: 2_500_000, rounds: 2, lastRoundMs: 1 },
  },
  repository: null,
};

const repository = {
  url: 'https://127.0.0.1:7420',
  phase: 'level',
  behind: 0,
  live: true,
  serving: {
    slots: { taken: 2, total: 16, perPuller: 6 },
    bytesPerSecond: 2_000_000,
    month: { month: '2026-11', bytes: 7_000_000, bytesMax: 100_000_000_000 },
    openCuts: 1,
    uploads: 2,
    served: [{ peer: 'vault', blocks: 1, bytes: 7_000_000, lacked: 0, objectBytes: 0 }],
  },
  reachable: true,
  error: null,
  statistics: { digests: 99, storedBytes: 1000 },
  members: [
    { name: 'laptop', role: 'client', live: true, holdings: 60, url: 'https://127.0.0.1:1' },
    { name: 'vault', role: 'secondary', live: false, holdings: 0, url: null },
  ],
};

test('a member alone is shown with its mount and its index', () => {
  const text = describeStatus(alone).join('\n');
  assert.match(
    text,
    /^mount +\/data \(writeback, device\)\n +1 500 requests answered\nindex +level\n +1 234 files, 5\.0 MB/,
  );
  assert.match(text, /^domain +alone$/m);
});

test('a joined member is shown with the repository and the others', () => {
  const member = { name: 'laptop', url: 'https://127.0.0.1:1' };
  const text = describeStatus({ ...alone, member, repository }).join('\n');
  assert.match(text, /^member +laptop, answers at https:\/\/127\.0\.0\.1:1$/m);
  assert.match(text, /knows everything; it takes this member for live/);
  assert.match(text, /laptop +client +live +60/);
  assert.match(text, /vault +secondary +– +0/);
});

test('open cuts are shown with what they keep and what they cost', () => {
  assert.match(describeStatus(alone).join('\n'), /^cuts +none open, 0 B of 10\.0 GB kept$/m);
  const open = [
    { id: 3, ageMs: 65_000 },
    { id: 4, ageMs: 1500 },
  ];
  const times = { heldLastNs: 450_000, heldP99Ns: 3_200_000, flushLastMs: 12.34 };
  const cuts = { ...noCuts, open, opened: 4, failed: 1, spaceBytes: 5_000_000, ...times };
  const text = describeStatus({ ...alone, mount: { ...alone.mount, cuts } }).join('\n');
  assert.match(text, /^cuts +2 open \(for 1 min 05 s, 1\.5 s\), 5\.0 MB of 10\.0 GB kept, 1 FAILED$/m);
  assert.match(text, /changes held up for 0\.5 ms by the last, p99 3\.2 ms; flushing took 12\.3 ms$/m);
});

test('what others may take and have taken is shown, and why they may not', () => {
  const member = { name: 'laptop', url: 'https://127.0.0.1:1' };
  const serving = describeStatus({ ...alone, member, repository }).join('\n');
  assert.match(serving, /^serving +2 of 16 slots taken, at most 2\.0 MB a second, 1 cuts open$/m);
  assert.match(serving, /7\.0 MB of 100\.0 GB sent this month, to 1 members/);
  const paused = { reason: 'battery', message: 'it runs on battery', retryAfterMs: 300_000 };
  const away = { ...repository, serving: { ...repository.serving, paused } };
  const text = describeStatus({ ...alone, member, repository: away }).join('\n');
  assert.match(text, /^serving +PAUSED: it runs on battery; others are asked to come again in 5 min 00 s$/m);
});

test('what is behind, fails or is in trouble is said', () => {
  const index = {
    ...alone.index,
    isLevel: false,
    filesDirty: 3,
    filesBeingHashed: 1,
    misses: 2,
    missesOpen: 1,
    unreadable: 1,
  };
  Object.assign(index, { unreadablePaths: [{ path: 'd/x', code: 'EIO' }] });
  const away = {
    ...repository,
    phase: 'failed',
    behind: 5,
    live: false,
    reachable: false,
    error: 'refuses',
    statistics: undefined,
    members: undefined,
  };
  const text = describeStatus({ ...alone, index, member: { name: 'a', url: 'b' }, repository: away }).join('\n');
  for (const part of [
    'behind: 4 files to hash',
    'trouble: 1 unreadable, 2 misses',
    'cannot be read (EIO): d/x',
    'cannot be reached',
    '5 changes behind',
    'refuses',
  ]) {
    assert.ok(text.includes(part), part);
  }
  assert.match(
    describeStatus({ ...alone, index: { ...index, failure: 'disk full' } }).join('\n'),
    /STOPPED: disk full/,
  );
});

test('how the index came to its state is said, and how far it was read again', () => {
  const text = describeStatus(alone).join('\n');
  assert.match(text, /opened clean, scanned 1 234 files in 1\.3 s, 3 of them new or changed; 5\.0 MB hashed/);
  assert.match(text, /50\.0 % read again in the background, 10\.0 GB a day, 2 times before/);
});

test('changes that were missed come first, until a check found none', () => {
  const [first] = describeStatus({ ...alone, index: { ...alone.index, misses: 3, missesOpen: 2 } });
  assert.match(first ?? '', /^THE INDEX HAD MISSED 2 CHANGES/);
  assert.doesNotMatch(describeStatus({ ...alone, index: { ...alone.index, misses: 3 } }).join('\n'), /MISSED/);
});

test('an answer of another version is no crash but an error with a hint', () => {
  assert.throws(() => describeStatus({ mountpoint: '/data' }), { code: 'E_VERSION', hint: /restart it/ });
});
