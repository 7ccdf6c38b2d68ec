/** A disk that runs full, a real one: a small file system in a file. Needs root for mounting it. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { writeFileAtomic } from '../../src/core/atomic-file.ts';
import { openLocalBackend } from '../../src/store/local-backend.ts';
import {
  type Directory,
  makeTestStore,
  openTestStore,
  readDirectory,
  takeTestSnapshot,
  testBytes,
} from './store-fixture.ts';

const diskBytes = 8 * 1024 * 1024;

/** Why no disk can be made here, or undefined after having made one and taken it away again. */
function obstacle(): string | undefined {
  if (process.getuid?.() !== 0) return 'mounting a disk image needs root';
  const place = mkdtempSync(join(tmpdir(), 'covault-disk-'));
  try {
    mountDisk(place);
    unmountDisk(place);
    return undefined;
  } catch (error) {
    return `a disk image cannot be mounted here: ${String(error).split('\n')[0]}`;
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

function mountDisk(place: string): string {
  const image = join(place, 'image');
  const disk = join(place, 'disk');
  writeFileSync(image, '');
  truncateSync(image, diskBytes);
  mkdirSync(disk);
  execFileSync('mkfs.ext4', ['-q', '-m', '0', '-O', '^has_journal', image], { stdio: 'pipe' });
  execFileSync('mount', ['-o', 'loop', image, disk], { stdio: 'pipe' });
  return disk;
}

function unmountDisk(place: string): void {
  execFileSync('umount', [join(place, 'disk')], { stdio: 'pipe' });
}

function smallDisk(t: TestContext): string {
  const place = mkdtempSync(join(tmpdir(), 'covault-disk-'));
  let isMounted = false;
  t.after(() => {
    if (isMounted) unmountDisk(place);
    rmSync(place, { recursive: true, force: true });
  });
  const disk = mountDisk(place);
  isMounted = true;
  return disk;
}

const reason = obstacle();
const options = reason === undefined ? {} : { skip: reason };

const files = (from: number, count: number): Directory =>
  Object.fromEntries(Array.from({ length: count }, (_, at) => [`${from + at}`, [testBytes(from + at, 300_000)]]));

test('a snapshot that does not fit is told as such, and costs nothing that was there', options, async (t) => {
  const disk = smallDisk(t);
  const backend = openLocalBackend(disk);
  const first = files(1, 5);
  await takeTestSnapshot(await makeTestStore(backend, { packBytes: 1_000_000 }), first, 1);

  const store = await openTestStore(backend, { packBytes: 1_000_000 });
  await assert.rejects(
    takeTestSnapshot(store, files(100, 40), 2),
    (error: Error & { code?: string; hint?: string }) => {
      assert.equal(error.code, 'E_NO_SPACE');
      assert.match(error.hint ?? '', /free some space/);
      return true;
    },
  );
  const names = await readdir(disk, { recursive: true });
  assert.deepEqual(
    names.filter((name) => name.endsWith('.tmp')),
    [],
    'no temporary file takes up space',
  );

  const after = await openTestStore(backend);
  const [record, ...others] = await after.listSnapshots();
  assert.equal(others.length, 0);
  assert.deepEqual(await readDirectory(after, record?.root.tree as Uint8Array), first);
  assert.equal((await after.check({ readData: true })).ok, true);
});

test('once there is space again, the next snapshot goes on from the packs that fitted', options, async (t) => {
  const disk = smallDisk(t);
  const backend = openLocalBackend(disk);
  await makeTestStore(backend);
  const ballast = join(disk, 'ballast');
  await writeFileAtomic(ballast, new Uint8Array(4_000_000));
  const content = files(1, 20);
  const store = await openTestStore(backend, { packBytes: 1_000_000 });
  await assert.rejects(takeTestSnapshot(store, content, 1), { code: 'E_NO_SPACE' });
  await rm(ballast);
  const again = await openTestStore(backend);
  const held = (await again.statistics()).blocks;
  assert.ok(held > 0 && held < 20, `${held} blocks were kept`);
  const { root } = await takeTestSnapshot(again, content, 2);
  assert.deepEqual(await readDirectory(again, root.tree), content);
  assert.equal((await again.check({ readData: true })).ok, true);
});
