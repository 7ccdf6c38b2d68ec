/** Listings of directories that change while they are read. */
import assert from 'node:assert/strict';
import { mkdir, opendir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { mountImage, needsImage } from '../support/file-systems.ts';
import { createSandbox } from '../support/mount-daemon.ts';

const count = 3000;

/** How many entries a reader gets that renames each of them, and back, before it reads the next; three times as many at most. */
async function listAndRename(directory: string): Promise<number> {
  let seen = 0;
  for await (const { name } of await opendir(directory, { bufferSize: 1 })) {
    seen++;
    if (seen === 3 * count) break;
    await rename(join(directory, name), join(directory, 'instead'));
    await rename(join(directory, 'instead'), join(directory, name));
  }
  return seen;
}

// btrfs lists in the order in which names were made.
for (const kind of ['ext4', 'btrfs'] as const) {
  test(`a listing ends although its reader renames what it has read (${kind})`, {
    skip: needsImage(kind),
    timeout: 120_000,
  }, async (t) => {
    const sandbox = await createSandbox(t);
    const below = join(sandbox.path, 'below');
    await mountImage(below, { kind, megabytes: 256 });
    const dataDirectory = join(below, 'data');
    const place = join(dataDirectory, 'many');
    await mkdir(place, { recursive: true });
    for (let number = 0; number < count; number++) await writeFile(join(place, `file ${number}`), '');
    await sandbox.mount({ dataDirectory });
    const seen = await listAndRename(place);
    assert.ok(seen >= count && seen < 2 * count, `${seen} of ${count} entries`);
    let now = 0;
    for await (const _ of await opendir(place)) now++;
    assert.equal(now, count, 'all are there afterwards');
  });
}
