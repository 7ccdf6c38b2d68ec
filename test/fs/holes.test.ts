/** Holes of sparse files, asked for while the kernel has not written everything yet. */
import assert from 'node:assert/strict';
import { open, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createSandbox } from '../support/mount-daemon.ts';
import { needsIoUring, needsMount } from '../support/requirements.ts';
import { type Syscalls, seekWhence, startSyscalls } from '../support/syscalls.ts';

const mebibyte = 1 << 20;

/** Ranges of data as [start, end), as a program that copies a sparse file finds them. */
async function dataRanges(syscalls: Syscalls, path: string): Promise<number[][]> {
  const ranges: number[][] = [];
  for (let end = 0; ; ) {
    const start = await syscalls.seek(path, end, seekWhence.data).catch((error) => {
      assert.equal(error.code, 'ENXIO');
      return undefined;
    });
    if (start === undefined) return ranges;
    end = await syscalls.seek(path, start, seekWhence.hole);
    ranges.push([start, end]);
  }
}

for (const dataMode of ['writeback', 'write-through'] as const) {
  test(`holes are found, and nothing just written is taken for one (${dataMode})`, {
    skip: needsMount(),
  }, async (t) => {
    const sandbox = await createSandbox(t);
    const daemon = await sandbox.mount({ dataDirectory: sandbox.data, dataMode });
    const syscalls = startSyscalls(t);
    const sparse = join(sandbox.data, 'sparse');
    await writeFile(sparse, '');
    await truncate(sparse, 4 * mebibyte);
    assert.deepEqual(await dataRanges(syscalls, sparse), []);

    const file = await open(sparse, 'r+');
    const block = Buffer.alloc(65536, 'x');
    await file.write(block, 0, block.length, mebibyte);
    assert.deepEqual(await dataRanges(syscalls, sparse), [[mebibyte, mebibyte + block.length]]);
    await file.write(block, 0, block.length, 3 * mebibyte);
    await file.write(block, 0, block.length, 4 * mebibyte);
    assert.deepEqual(await dataRanges(syscalls, sparse), [
      [mebibyte, mebibyte + block.length],
      [3 * mebibyte, 3 * mebibyte + block.length],
      [4 * mebibyte, 4 * mebibyte + block.length],
    ]);
    await file.close();
    await daemon.unmount();
  });
}

const combinations = (['writeback', 'write-through'] as const).flatMap((dataMode) =>
  (['device', 'io_uring'] as const).map((transport) => ({ dataMode, transport })),
);

for (const { dataMode, transport } of combinations) {
  test(`many files are asked for their holes at once, each with new content (${dataMode}, ${transport})`, {
    skip: transport === 'io_uring' ? needsIoUring() : needsMount(),
  }, async (t) => {
    const sandbox = await createSandbox(t);
    const daemon = await sandbox.mount({ dataDirectory: sandbox.data, dataMode, transport });
    const block = Buffer.alloc(65536, 'x');
    const askOne = async (number: number) => {
      const path = join(sandbox.data, String(number));
      const syscalls = startSyscalls(t);
      await writeFile(path, '');
      await truncate(path, 2 * mebibyte);
      const file = await open(path, 'r+');
      for (let at = 0; at < 8; at++) {
        await file.write(block, 0, block.length, at * 2 * block.length);
        const ranges = await dataRanges(syscalls, path);
        for (let written = 0; written <= at; written++) {
          const start = written * 2 * block.length;
          const isData = ranges.some(([from = 0, to = 0]) => from <= start && start + block.length <= to);
          assert.ok(isData, `${path}: ${start} was called a hole: ${JSON.stringify(ranges)}`);
        }
        assert.equal(ranges.length, at + 1);
      }
      await file.close();
    };
    await Promise.all(Array.from({ length: 12 }, (_, number) => askOne(number)));
    await daemon.unmount();
  });
}
