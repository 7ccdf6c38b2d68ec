/** The index fed by a real mount, under several writers at once: it comes to what a fresh index says of the directory. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { DataMode } from '../../src/fs/session.ts';
import { createSandbox, type DaemonOptions } from '../support/mount-daemon.ts';
import { needsMount } from '../support/requirements.ts';
import { makeFixture, noise, sightOf } from './index-fixture.ts';

const skip = needsMount();
const rounds = 4;
const operationsPerRound = 60;

const cases: { title: string; isCoarse: boolean; options: Partial<DaemonOptions> }[] = [
  ...(['write-through', 'writeback'] as DataMode[]).map((dataMode) => ({
    title: dataMode,
    isCoarse: false,
    options: { dataMode },
  })),
  {
    title: 'a mutation log that is always full',
    isCoarse: true,
    options: { mutationLog: { chunkBytes: 512, chunksMax: 2, coarseRecordsMax: 8 } },
  },
];

for (const { title, options, isCoarse } of cases) {
  test(`what several writers do through a mount is in the index: ${title}`, { skip, timeout: 120_000 }, async (t) => {
    const coarse = await play(t, options, isCoarse ? 150 : 0);
    assert.equal(coarse > 0, isCoarse, `${coarse} coarse mutations`);
  });
}

/**
 * @param blockMs how long nobody takes mutations at the beginning of each round.
 * @returns how many mutations were coarse.
 */
async function play(t: TestContext, options: Partial<DaemonOptions>, blockMs: number): Promise<number> {
  const sandbox = await createSandbox(t);
  const mountpoint = join(sandbox.path, 'mountpoint');
  await fs.mkdir(mountpoint);
  const daemon = await sandbox.mount({ dataDirectory: sandbox.data, at: mountpoint, ...options });
  const fixture = await makeFixture(t, { data: sandbox.data });
  let coarse = 0;
  const settle = async () => {
    const mutations = await daemon.settle();
    coarse += mutations.filter(({ kind }) => kind === 'subtree').length;
    index.consume(mutations);
  };
  const index = await fixture.open({ settle });
  await index.scan();
  const writers = [1, 2, 3].map((seed) => new Writer(mountpoint, seed));
  for (let round = 0; round < rounds; round++) {
    const blocked = daemon.block(blockMs);
    const written = Promise.all(writers.map((writer) => writer.write(operationsPerRound)));
    // A cut in the middle of it must end, whatever it has of these operations.
    await (await index.openCut()).close();
    await Promise.all([written, blocked]);
    assert.deepEqual(await sightOf(index), await fixture.fresh(), `round ${round}`);
  }
  assert.equal((await index.check()).misses, 0);
  await index.close();
  return coarse;
}

/** Does operations chosen by its seed, all in names that writers share, so that they meet. */
class Writer {
  readonly #root: string;
  #state: number;

  constructor(root: string, seed: number) {
    this.#root = root;
    this.#state = seed * 7919;
  }

  async write(operations: number): Promise<void> {
    for (let count = 0; count < operations; count++) {
      try {
        await this.#operation();
      } catch (error) {
        // Another writer was there before.
        const code = error instanceof Error && 'code' in error ? error.code : undefined;
        const expected = ['ENOENT', 'EEXIST', 'ENOTEMPTY', 'EISDIR', 'ENOTDIR', 'EINVAL', 'EPERM', 'ESTALE'];
        if (!expected.includes(String(code))) throw error;
      }
    }
  }

  async #operation(): Promise<void> {
    const path = this.#path();
    switch (this.#next(12)) {
      case 0:
      case 1:
        return await fs.mkdir(path);
      case 2:
      case 3:
        return await fs.writeFile(path, noise(this.#state, this.#next(40_000)));
      case 4:
        return await this.#writeInto(path);
      case 5:
        return await fs.truncate(path, this.#next(30_000));
      case 6:
      case 7:
        return await fs.rename(path, this.#path());
      case 8:
        return await fs.link(path, this.#path());
      case 9:
        return await fs.unlink(path);
      case 10:
        return await fs.rmdir(path);
      default:
        return await fs.chmod(path, 0o700 + this.#next(64));
    }
  }

  async #writeInto(path: string): Promise<void> {
    const file = await fs.open(path, 'r+');
    try {
      for (let count = 0; count < 5; count++) await file.write(noise(this.#state, 500), 0, 500, this.#next(50_000));
      if (this.#next(2) === 0) await fs.rename(path, this.#path());
      await file.write(noise(this.#state, 50), 0, 50, this.#next(50_000));
    } finally {
      await file.close();
    }
  }

  #path(): string {
    const depth = 1 + this.#next(3);
    return join(this.#root, ...Array.from({ length: depth }, () => `n${this.#next(5)}`));
  }

  #next(below: number): number {
    this.#state = (Math.imul(this.#state, 1_103_515_245) + 12_345) >>> 0;
    return (this.#state >>> 8) % below;
  }
}
