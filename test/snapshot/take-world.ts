/** Clients, a map of holders and a real store, to make snapshots in. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { systemClock } from '../../src/core/clock.ts';
import { type DigestKey, digestKey } from '../../src/core/digest.ts';
import { CovaultError } from '../../src/core/errors.ts';
import type { HolderLookup } from '../../src/core/ports.ts';
import { decodeRecipe, isBlock, type Segment } from '../../src/core/recipe.ts';
import type { SnapshotRecord } from '../../src/core/snapshot.ts';
import { decodeTree, type FileEntry } from '../../src/core/tree.ts';
import { openConnection } from '../../src/remote/client.ts';
import { drySink, type ReadableSink } from '../../src/snapshot/dry-sink.ts';
import type { ServingOptions } from '../../src/snapshot/serve.ts';
import {
  type PlanOptions,
  planSnapshot,
  type SnapshotOutcome,
  type TakeOptions,
  takeSnapshot,
} from '../../src/snapshot/take.ts';
import type { Store } from '../../src/store/store.ts';
import { createTestDomain, type TestDomain } from '../remote/test-domain.ts';
import { openMemoryBackend } from '../store/memory-backend.ts';
import { makeTestStore, testBytes, testDigester } from '../store/store-fixture.ts';
import { FakeClient, type Files, ServedClient } from './fake-client.ts';

export const source = 'laptop';

export class TakeWorld implements HolderLookup {
  readonly domain: TestDomain;
  readonly store: Store;
  readonly members = new Map<string, ServedClient>();
  readonly reported: { peer: string; digest: DigestKey }[] = [];
  /** What the repository believes that members hold. */
  readonly #map = new Map<string, Set<DigestKey>>();
  readonly #t: TestContext;

  private constructor(t: TestContext, domain: TestDomain, store: Store) {
    this.#t = t;
    this.domain = domain;
    this.store = store;
  }

  static async make(t: TestContext): Promise<TakeWorld> {
    return new TakeWorld(
      t,
      await createTestDomain(),
      await makeTestStore(openMemoryBackend(), { packBytes: 256 * 1024 }),
    );
  }

  /** Adds a client that serves `files`, and puts what it holds into the map. */
  async add(name: string, files: Files, options: Partial<ServingOptions> = {}): Promise<FakeClient> {
    const served = await new ServedClient(new FakeClient(name, files, testDigester), this.domain, options).start(
      this.#t,
    );
    this.members.set(name, served);
    this.publish(name);
    return served.client;
  }

  /** Brings the map level with what a client holds now. */
  publish(name: string): void {
    const served = this.members.get(name);
    if (served) this.#map.set(name, served.client.holdings());
  }

  async restart(name: string): Promise<void> {
    await this.members.get(name)?.stop();
    await this.members.get(name)?.start(this.#t);
  }

  async holdersOf(digests: readonly Uint8Array[]): Promise<string[][]> {
    return digests.map((digest) =>
      [...this.#map].filter(([, held]) => held.has(digestKey(digest))).map(([name]) => name),
    );
  }

  async reportMissing(peer: string, digests: readonly Uint8Array[]): Promise<void> {
    for (const digest of digests) this.reported.push({ peer, digest: digestKey(digest) });
  }

  /** Makes a snapshot of the source; the writer is ended whatever happens. */
  async take(options: Partial<TakeOptions> = {}): Promise<SnapshotOutcome> {
    const writer = await this.store.openWriter();
    try {
      return await takeSnapshot({ ...(await this.#options()), sink: writer, ...options });
    } finally {
      await writer.abandon();
    }
  }

  /** What a snapshot into `store`, by default that of this world, would pull. */
  async plan(
    store: ReadableSink = this.store.held(),
    options: Partial<PlanOptions> = {},
  ): ReturnType<typeof planSnapshot> {
    return planSnapshot({ ...(await this.#options()), sink: drySink(store), ...options });
  }

  async #options(): Promise<Omit<PlanOptions, 'sink'>> {
    const identity = await this.domain.identity('vault', 'secondary');
    return {
      client: source,
      connect: async (peer) => {
        const url = this.members.get(peer)?.url;
        if (url === undefined) throw new CovaultError('E_UNAVAILABLE', `${peer} is not there`);
        return openConnection({ identity, url, expect: { name: peer, role: 'client' } });
      },
      holders: this,
      digester: testDigester,
      clock: systemClock,
      puller: 'vault',
      patienceMs: 2_000,
      bounds: { healthTimes: { restMsFirst: 20 } },
    };
  }

  /** The files of a snapshot, read back from the store; those without content are undefined. */
  async contentOf(record: SnapshotRecord): Promise<Map<string, Uint8Array | undefined>> {
    const files = new Map<string, Uint8Array | undefined>();
    const trees = [{ digest: record.root.tree, prefix: '' }];
    for (let at = trees.pop(); at !== undefined; at = trees.pop()) {
      for (const entry of decodeTree(await this.store.readObject('tree', at.digest))) {
        const path = at.prefix + Buffer.from(entry.name).toString();
        if (entry.kind === 'directory') trees.push({ digest: entry.tree, prefix: `${path}/` });
        if (entry.kind === 'file') files.set(path, await this.#readFile(entry));
      }
    }
    return files;
  }

  /** Asserts that the snapshot has exactly these files. */
  async assertContent(record: SnapshotRecord, expected: Map<string, Uint8Array | undefined>): Promise<void> {
    const found = await this.contentOf(record);
    assert.deepEqual([...found.keys()].toSorted(), [...expected.keys()].toSorted());
    for (const [path, content] of expected) {
      const same = content === undefined ? found.get(path) === undefined : equal(found.get(path), content);
      assert.ok(same, `${path} differs`);
    }
  }

  async #readFile({ content, size }: FileEntry): Promise<Uint8Array | undefined> {
    if ('missing' in content) return undefined;
    const segments: Segment[] =
      'segments' in content
        ? content.segments
        : decodeRecipe(await this.store.readObject('recipe', content.recipe)).segments;
    const parts: Uint8Array[] = [];
    for (const segment of segments) {
      const bytes = isBlock(segment) ? await this.store.readBlock(segment.digest) : new Uint8Array(segment.length);
      assert.ok(bytes, 'a block of a sealed snapshot is not in the store');
      parts.push(bytes);
    }
    const whole = Buffer.concat(parts);
    assert.equal(whole.byteLength, size);
    return whole;
  }
}

/** Files of 0 to `blocksMax` blocks with different contents, in a few directories. */
export function makeFiles(count: number, options: { seed: number; blocksMax?: number }): Files {
  const { seed, blocksMax = 12 } = options;
  const files: Files = new Map();
  for (let number = 0; number < count; number++) {
    const length = (number * 7919 + seed * 31) % (blocksMax * 4096 + 1);
    files.set(`d${number % 5}/e${number % 3}/file ${seed}-${number}`, testBytes(seed * 10_000 + number + 1, length));
  }
  return files;
}

export function joinFiles(...parts: Files[]): Files {
  return new Map(parts.flatMap((files) => [...files]));
}

export function bytesOf(files: Map<string, Uint8Array>): number {
  return [...files.values()].reduce((sum, content) => sum + content.byteLength, 0);
}

function equal(found: Uint8Array | undefined, expected: Uint8Array): boolean {
  return found !== undefined && Buffer.compare(found, expected) === 0;
}
