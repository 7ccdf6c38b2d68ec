/** Offsets around 2^31, 2^32 and beyond: nothing is cut off on the way between the mount and the directory below. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { DataMode } from '../../src/fs/session.ts';
import { createSandbox } from '../support/mount-daemon.ts';
import { needsMount } from '../support/requirements.ts';
import { allocateModes, startSyscalls } from '../support/syscalls.ts';

const boundaries = [2 ** 31, 2 ** 32, 2 ** 32 + 2 ** 31, 2 ** 40];
const text = 'across the boundary';

async function readText(path: string, position: number, length = text.length): Promise<string> {
  const file = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position);
    return buffer.toString('latin1', 0, bytesRead);
  } finally {
    await file.close();
  }
}

for (const dataMode of ['write-through', 'writeback'] as DataMode[]) {
  test(`files over 4 GiB are written, read, mapped, copied and cut where they are large (${dataMode})`, {
    skip: needsMount(),
    timeout: 60_000,
  }, async (t) => {
    const sandbox = await createSandbox(t);
    const calls = startSyscalls(t);
    const mounted = join(sandbox.path, 'mounted');
    await mkdir(mounted);
    const daemon = await sandbox.mount({ dataDirectory: sandbox.data, at: mounted, dataMode });
    const path = join(mounted, 'large');
    const below = join(sandbox.data, 'large');

    const file = await open(path, 'w+');
    for (const boundary of boundaries) await file.write(text, boundary - 5);
    await file.sync();
    for (const boundary of boundaries) {
      assert.equal(await readText(path, boundary - 5), text, `written at ${boundary}`);
      assert.equal(await readText(below, boundary - 5), text, `below, at ${boundary}`);
      assert.equal(await readText(below, boundary - 5 - text.length), '\0'.repeat(text.length), 'nowhere else');
    }
    const size = 2 ** 40 - 5 + text.length;
    assert.equal((await stat(path)).size, size);
    assert.equal((await stat(below)).size, size);
    assert.ok((await stat(path)).blocks * 512 < 2 ** 20, 'the holes are holes');

    await file.truncate(2 ** 32 + 3);
    assert.equal((await stat(below)).size, 2 ** 32 + 3);
    assert.equal(await readText(path, 2 ** 32 - 5), text.slice(0, 8));
    await file.truncate(2 ** 32 + 2 ** 20);
    assert.equal(await readText(path, 2 ** 32 - 5), text.slice(0, 8).padEnd(text.length, '\0'));

    await calls.mapAndStore(path, 2 ** 32 + 4090, 'mapped');
    await daemon.settle();
    assert.equal(await readText(below, 2 ** 32 + 4090, 6), 'mapped');
    await open(join(mounted, 'copy'), 'w').then((made) => made.close());
    assert.equal(await calls.copyRange(path, join(mounted, 'copy'), 4200, 2 ** 32 - 5, 2 ** 33), 4200);
    await daemon.settle();
    assert.equal(await readText(join(sandbox.data, 'copy'), 2 ** 33, 8), text.slice(0, 8));
    assert.equal(await readText(join(sandbox.data, 'copy'), 2 ** 33 + 5 + 4090, 6), 'mapped');
    await calls.allocate(path, allocateModes.punchHole, 2 ** 32 - 4096, 8192);
    assert.equal(await readText(path, 2 ** 32 - 5), '\0'.repeat(text.length));
    await file.close();
  });
}

test('a stream is read as it stands below, up to an end within a page, and at any offset', {
  skip: needsMount(),
  timeout: 60_000,
}, async (t) => {
  const sandbox = await createSandbox(t);
  const mounted = join(sandbox.path, 'mounted');
  await mkdir(mounted);
  const content = randomBytes(5 * 2 ** 20 + 1234);
  for (const name of ['whole', 'part', 'direct', 'grows']) await writeFile(join(sandbox.data, name), content);
  await sandbox.mount({ dataDirectory: sandbox.data, at: mounted });

  assert.ok(content.equals(await readFile(join(mounted, 'whole'))));
  const read = async (name: string, flags: number, position: number) => {
    await using file = await open(join(mounted, name), flags);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(2 ** 20), 0, 2 ** 20, position);
    return buffer.subarray(0, bytesRead);
  };
  const { O_RDONLY, O_DIRECT } = constants;
  assert.ok(content.subarray(777, 777 + 2 ** 20).equals(await read('part', O_RDONLY, 777)));
  assert.ok(content.subarray(777, 777 + 2 ** 20).equals(await read('direct', O_RDONLY | O_DIRECT, 777)));
  assert.ok(content.subarray(5 * 2 ** 20).equals(await read('direct', O_RDONLY | O_DIRECT, 5 * 2 ** 20)));
  await using file = await open(join(mounted, 'grows'), 'r+');
  await file.truncate(content.length + 2 ** 20);
  assert.ok(Buffer.concat([content, Buffer.alloc(2 ** 20)]).equals(await readFile(join(mounted, 'grows'))));
});
