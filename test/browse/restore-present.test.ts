/** Restoring over what is there: content that stands in the target already is not fetched, and never believed unseen. */
import assert from 'node:assert/strict';
import { closeSync, mkdirSync, openSync, readFileSync, symlinkSync, writeFileSync, writeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { DirectoryHandles } from '../../src/browse/directory-handles.ts';
import type { RestoreOptions } from '../../src/browse/restore.ts';
import { TargetBlocks } from '../../src/browse/target-blocks.ts';
import { createDigester, digestKey } from '../../src/core/digest.ts';
import type { BlockFetcher } from '../../src/core/ports.ts';
import { cutBlocks } from '../../src/fs/native.ts';
import { testBytes } from '../store/store-fixture.ts';
import { testDigestKey } from './memory-store.ts';
import { assertIsModel, temporaryDirectory } from './model-on-disk.ts';
import { restore, snapshotOf } from './restore-sample.ts';
import { directory, file, type ModelDirectory } from './tree-model.ts';

const cut = { minBytes: 1024, normalBytes: 4096, maxBytes: 16_384 };
const domain = { cut, digestKey: testDigestKey };
const bytes = 400_000;

/** A file whose blocks are cut as an index would. */
function cutFile(content: Uint8Array) {
  let at = 0;
  return file(
    Array.from(cutBlocks(content, cut, true), (length) => {
      at += length;
      return content.subarray(at - length, at);
    }),
  );
}

function run(
  t: TestContext,
  model: ModelDirectory,
  options: Partial<RestoreOptions> & { present: Record<string, Uint8Array> },
) {
  const { present, ...others } = options;
  const target = join(temporaryDirectory(t), 'out');
  mkdirSync(target);
  for (const [name, content] of Object.entries(present)) writeFileSync(join(target, name), content);
  const made = snapshotOf(model);
  return { target, ...made, result: restore(made, target, { domain, ...others }) };
}

test('of a file that differs a little only that comes from the store', async (t) => {
  const content = testBytes(1, bytes);
  const before = Buffer.concat([content.subarray(0, 150_000), testBytes(2, 333), content.subarray(150_100)]);
  const model = directory({ file: cutFile(content) });
  const { target, store, result } = run(t, model, { present: { file: before }, existing: 'replace' });
  const { bytesReused, bytesFromStore } = await result;
  assertIsModel(target, model);
  assert.ok(bytesFromStore > 0 && bytesFromStore < 0.15 * bytes, `${bytesFromStore} bytes from the store`);
  assert.equal(bytesReused + bytesFromStore, bytes);
  assert.ok(store.blockReads.length < 15);
});

test('a file that was renamed is not fetched, and one that stays is left alone', async (t) => {
  const content = testBytes(3, bytes);
  const model = directory({ new: cutFile(content), sub: directory({ copy: cutFile(content) }) });
  const { target, store, result } = run(t, model, { present: { old: content }, existing: 'keep' });
  const { bytesReused, bytesFromStore } = await result;
  assert.deepEqual([bytesReused, bytesFromStore, store.blockReads.length], [bytes, 0, 0]);
  for (const name of ['old', 'new', 'sub/copy'])
    assert.deepEqual(readFileSync(join(target, name)), Buffer.from(content));
});

test('files that take each others place are made of what was there before', async (t) => {
  const [first, second] = [testBytes(4, bytes), testBytes(5, bytes)];
  const model = directory({ a: cutFile(first), b: cutFile(second) });
  const { target, result } = run(t, model, { present: { a: second, b: first }, existing: 'replace' });
  const { bytesFromStore } = await result;
  assertIsModel(target, model);
  assert.equal(bytesFromStore, 0);
});

test('neighbours are cut only as far as that is worth it', async (t) => {
  const content = testBytes(6, 50_000);
  const model = directory({ small: cutFile(content) });
  // More than a restore of this size may look through, though not a byte of it is on the disk.
  const { target, result } = run(t, model, { present: {}, existing: 'keep' });
  await result;
  const huge = await open(join(target, 'huge'), 'w');
  await huge.truncate(1024 ** 4);
  await huge.close();
  const again = await restore(snapshotOf(model), target, { domain, existing: 'replace', recheck: true });
  assert.equal(again.bytesReused, 50_000);
});

test('a fetcher is asked for what is not there, and the store for what the fetcher does not bring', async (t) => {
  const [here, fetched, stored] = [7, 8, 9].map((seed) => testBytes(seed, bytes)) as [Buffer, Buffer, Buffer];
  const model = directory({ here: cutFile(here), fetched: cutFile(fetched), stored: cutFile(stored) });
  const digester = createDigester(testDigestKey);
  const can = new Map(cutFile(fetched).parts.map((part) => [digestKey(digester.digest(part as Uint8Array)), part]));
  const asked: number[] = [];
  const fetcher: BlockFetcher = {
    async fetch(blocks, { take }) {
      asked.push(blocks.reduce((sum, { length }) => sum + length, 0));
      await Promise.all(
        blocks.map(async (block) => {
          const part = can.get(digestKey(block.digest));
          if (part !== undefined) await take(block, Buffer.from(part as Uint8Array));
        }),
      );
    },
  };
  const { target, result } = run(t, model, { present: { other: here }, existing: 'keep', fetcher });
  const { bytesReused, bytesFromStore, bytesWritten } = await result;
  assert.deepEqual(asked, [2 * bytes]);
  assert.deepEqual([bytesReused, bytesFromStore, bytesWritten], [bytes, bytes, 3 * bytes]);
  for (const [name, content] of Object.entries({ here, fetched, stored })) {
    assert.deepEqual(readFileSync(join(target, name)), Buffer.from(content));
  }
});

test('what changed since it was cut is not taken for what it was; links are not followed', async (t) => {
  const top = temporaryDirectory(t);
  const content = testBytes(10, bytes);
  writeFileSync(join(top, 'file'), content);
  symlinkSync('file', join(top, 'link'));
  const handles = new DirectoryHandles(await open(top, 'r'));
  const digester = createDigester(testDigestKey);
  const blocks = new TargetBlocks({ handles, digester, cut, stagingName: 'staging', signal: undefined });
  t.after(async () => {
    blocks.close();
    await handles.close();
  });
  const [first, second] = cutFile(content).parts as [Uint8Array, Uint8Array];
  await blocks.lookAround(handles.top, Buffer.from('link'), 0);
  await blocks.lookAround(handles.top, Buffer.from('absent'), 0);
  assert.deepEqual(await blocks.readBlock(digester.digest(first)), new Uint8Array(first), 'a neighbour was cut');
  assert.equal(await blocks.readBlock(digester.digest(testBytes(11, 5))), undefined);
  const fd = openSync(join(top, 'file'), 'r+');
  t.after(() => closeSync(fd));
  writeSync(fd, Buffer.from([255 - (content[10] ?? 0)]), 0, 1, 10);
  assert.equal(await blocks.readBlock(digester.digest(first)), undefined);
  assert.deepEqual(await blocks.readBlock(digester.digest(second)), new Uint8Array(second));
});
