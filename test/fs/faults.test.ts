/** Errors of the file system below reach whoever caused them: at once in write-through mode, at fsync or close in writeback. */
import assert from 'node:assert/strict';
import { mkdir, open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { DataMode } from '../../src/fs/session.ts';
import {
  fillUp,
  killFileSystem,
  makeReadOnly,
  mountImage,
  mountMemory,
  needsFileSystem,
  needsImage,
} from '../support/file-systems.ts';
import { createSandbox } from '../support/mount-daemon.ts';

const modes: DataMode[] = ['write-through', 'writeback'];
const block = Buffer.alloc(2 ** 16, 7);

/** Writes so many blocks; the code of the error that stops it, with the step at which it came. */
async function writeBlocks(path: string, count: number, end: 'fsync' | 'close'): Promise<string> {
  const file = await open(path, 'w');
  let failure = '';
  const step = async (name: string, act: () => Promise<unknown>) => {
    if (failure !== '') return;
    await act().catch((error: NodeJS.ErrnoException) => {
      failure = `${error.code} at ${name}`;
    });
  };
  for (let i = 0; i < count; i++) await step('write', () => file.write(block));
  if (end === 'fsync') await step('fsync', () => file.sync());
  await step('close', () => file.close());
  // Closed already, but after an error before.
  await file.close().catch(() => undefined);
  return failure;
}

for (const dataMode of modes) {
  const late = dataMode === 'writeback';

  test(`a full file system below is reported, and space that is freed can be used again (${dataMode})`, {
    skip: needsFileSystem(),
    timeout: 60_000,
  }, async (t) => {
    const sandbox = await createSandbox(t);
    const below = join(sandbox.path, 'small');
    await mountMemory(below, 'size=1m');
    const dataDirectory = join(below, 'data');
    await mkdir(dataDirectory);
    await sandbox.mount({ dataDirectory, dataMode });
    await writeFile(join(dataDirectory, 'small'), block);
    assert.equal(await writeBlocks(join(dataDirectory, 'large'), 32, 'fsync'), `ENOSPC at ${late ? 'fsync' : 'write'}`);
    await rm(join(dataDirectory, 'large'));
    if (late) {
      assert.equal(await writeBlocks(join(dataDirectory, 'large'), 32, 'close'), 'ENOSPC at close');
      await rm(join(dataDirectory, 'large'));
    }
    assert.deepEqual(await readFile(join(dataDirectory, 'small')), block);
    assert.equal(await writeBlocks(join(dataDirectory, 'fits'), 8, 'fsync'), '');
    assert.equal((await stat(join(dataDirectory, 'fits'))).size, 8 * block.length);
  });

  test(`a file system below without inodes left is reported (${dataMode})`, {
    skip: needsFileSystem(),
    timeout: 60_000,
  }, async (t) => {
    const sandbox = await createSandbox(t);
    const dataDirectory = join(sandbox.path, 'few');
    await mountMemory(dataDirectory, 'nr_inodes=5');
    await sandbox.mount({ dataDirectory, dataMode });
    const make = async () => {
      for (let i = 0; i < 10; i++) await mkdir(join(dataDirectory, String(i)));
    };
    await assert.rejects(make, { code: 'ENOSPC' });
    await rm(join(dataDirectory, '0'), { recursive: true });
    // The kernel tells that it forgot the directory after `rm` returned, and nobody waits for that.
    const deadline = Date.now() + 20_000;
    for (let refused = true; refused; ) {
      refused = await writeFile(join(dataDirectory, 'instead'), 'x').then(
        () => false,
        (error: NodeJS.ErrnoException) => {
          if (error.code !== 'ENOSPC' || Date.now() > deadline) throw error;
          return true;
        },
      );
    }
  });

  test(`a file system below that can only be read refuses changes and serves reads (${dataMode})`, {
    skip: needsFileSystem(),
    timeout: 60_000,
  }, async (t) => {
    const sandbox = await createSandbox(t);
    const below = join(sandbox.path, 'below');
    await mountMemory(below, 'size=1m');
    const dataDirectory = join(below, 'data');
    await mkdir(dataDirectory);
    await writeFile(join(dataDirectory, 'file'), 'kept');
    await sandbox.mount({ dataDirectory, dataMode });
    await makeReadOnly(below);
    const path = (name: string) => join(dataDirectory, name);
    await assert.rejects(mkdir(path('directory')), { code: 'EROFS' });
    await assert.rejects(writeFile(path('new'), 'x'), { code: 'EROFS' });
    await assert.rejects(rm(path('file')), { code: 'EROFS' });
    assert.match(await writeBlocks(path('file'), 1, 'fsync').catch(({ code }) => `${code} at open`), /^EROFS /);
    assert.equal(await readFile(path('file'), 'utf8'), 'kept');
  });

  test(`a file system below that dies is reported with EIO (${dataMode})`, {
    skip: needsImage(),
    timeout: 60_000,
  }, async (t) => {
    const sandbox = await createSandbox(t);
    const below = join(sandbox.path, 'dying');
    await mountImage(below);
    const dataDirectory = join(below, 'data');
    await mkdir(dataDirectory);
    const daemon = await sandbox.mount({ dataDirectory, dataMode });
    const a = await open(join(dataDirectory, 'a'), 'w');
    const b = await open(join(dataDirectory, 'b'), 'w');
    await a.write(block);
    await a.sync();
    await killFileSystem(below);
    await assert.rejects(mkdir(join(dataDirectory, 'directory')), { code: 'EIO' });
    if (late) {
      await a.write(block);
      await assert.rejects(a.sync(), { code: 'EIO' });
      await b.write(block);
      await assert.rejects(b.close(), { code: 'EIO' });
    } else {
      await assert.rejects(a.write(block), { code: 'EIO' });
      await assert.rejects(a.sync(), { code: 'EIO' });
      await b.close();
    }
    await a.close().catch(() => undefined);
    await daemon.unmount({ lazy: true });
  });

  test(`content that a full device below could not take is reported at fsync (${dataMode})`, {
    skip: needsImage(),
    timeout: 60_000,
  }, async (t) => {
    const sandbox = await createSandbox(t);
    const memory = join(sandbox.path, 'memory');
    await mountMemory(memory, 'size=4m');
    const dataDirectory = join(sandbox.path, 'data-on-full');
    await mountImage(dataDirectory, { image: join(memory, 'image') });
    await fillUp(join(memory, 'filler'));
    await sandbox.mount({ dataDirectory, dataMode });
    // The file system has room; its device has not.
    assert.match(await writeBlocks(join(dataDirectory, 'file'), 32, 'fsync'), /^(ENOSPC|EIO) at fsync$/);
  });
}
