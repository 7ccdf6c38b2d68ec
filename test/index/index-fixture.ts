/**
 * A real data directory with an index over it, for the tests of the index: temporary directories, closed and removed
 * when the test ends, and a domain with small blocks so that small files have many.
 */
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { systemClock } from '../../src/core/clock.ts';
import { type Digest, digestHex } from '../../src/core/digest.ts';
import type { Domain } from '../../src/core/domain.ts';
import type { Cut, ObjectKind } from '../../src/core/ports.ts';
import { type DirectoryEntry, decodeTree, type TreeEntry } from '../../src/core/tree.ts';
import { type IndexOptions, type LiveIndex, openIndex } from '../../src/index/live-index.ts';
import type { RecordedDirectory } from './recorded-directory.ts';

/** Blocks of 1 to 16 KiB. */
export const testDomain: Domain = {
  id: '0123456789abcdef0123456789abcdef',
  digestKey: new Uint8Array(32).fill(7),
  cut: { minBytes: 1024, normalBytes: 4096, maxBytes: 16_384 },
};

export interface Fixture {
  /** The data directory. */
  data: string;
  state: string;
  /** Opens the index; it is closed when the test ends, if it was not before. */
  open(options?: Partial<IndexOptions>): Promise<LiveIndex>;
  /** What a fresh index sees in the data directory. */
  fresh(): Promise<Sight>;
}

/** Everything that an index says of a moment, in a form to be compared. */
export interface Sight {
  root: string;
  entries: string[];
  /** All digests held, ascending, in hexadecimal. */
  holdings: string[];
  files: number;
  bytes: number;
}

/** @param of an existing data directory; by default an empty one is made. */
export async function makeFixture(t: TestContext, of: { data?: string } = {}): Promise<Fixture> {
  const directory = mkdtempSync(join(tmpdir(), 'covault-index-'));
  const data = of.data ?? join(directory, 'data');
  const state = join(directory, 'state');
  await mkdir(data, { recursive: true });
  await mkdir(state);
  const indexes: LiveIndex[] = [];
  t.after(async () => {
    for (const index of indexes) await index.close();
    rmSync(directory, { recursive: true, force: true });
  });
  const open = async (options: Partial<IndexOptions> = {}): Promise<LiveIndex> => {
    const directoryFd = openSync(data, 'r');
    try {
      const required = { stateDirectory: state, directoryFd, domain: testDomain, clock: systemClock };
      const index = await openIndex({ ...required, ...options });
      indexes.push(index);
      return index;
    } finally {
      closeSync(directoryFd);
    }
  };
  let freshIndexes = 0;
  const fresh = async () => {
    const index = await open({ stateDirectory: join(directory, `fresh-${freshIndexes++}`) });
    const sight = await sightOf(index);
    await index.close();
    return sight;
  };
  return { data, state, open, fresh };
}

/** An index over a directory that reports; what was reported is delivered when the index asks to settle. */
export async function openReporting(
  fixture: Fixture,
  directory: RecordedDirectory,
  options: Partial<IndexOptions> = {},
): Promise<LiveIndex> {
  const settled: { index?: LiveIndex } = {};
  const settle = async () => settled.index?.consume(directory.take());
  settled.index = await fixture.open({ settle, ...options });
  return settled.index;
}

/** What the index says when it is level. */
export async function sightOf(index: LiveIndex): Promise<Sight> {
  const cut = await index.openCut();
  try {
    const entries = [...(await entriesOf(cut))].map(([path, entry]) => `${path} ${describe(entry)}`);
    const { tree, name: _, ...attributes } = cut.root;
    const { files, bytes } = index.status();
    return { root: `${digestHex(tree)} ${describe(attributes)}`, entries, holdings: holdingsOf(index), files, bytes };
  } finally {
    await cut.close();
  }
}

export function holdingsOf(index: LiveIndex): string[] {
  const holdings = index.feed.holdings(100);
  const digests = [...holdings.pages].flat().map(digestHex);
  holdings.close();
  return digests;
}

function describe(value: object): string {
  return JSON.stringify(value, (_, field) => {
    if (typeof field === 'bigint') return `${field}n`;
    // A Buffer has said `{ type, data }` of itself by now.
    return field?.type === 'Buffer' ? Buffer.from(field.data).toString('hex').slice(0, 16) : field;
  });
}

/** The digest of the root's tree when the index is level. */
export async function rootDigest(index: LiveIndex): Promise<string> {
  const cut = await index.openCut();
  try {
    return digestHex(cut.root.tree);
  } finally {
    await cut.close();
  }
}

/** All entries below a cut's root by their paths (latin1), read through the cut. */
export async function entriesOf(cut: Cut): Promise<Map<string, TreeEntry>> {
  const entries = new Map<string, TreeEntry>();
  const visit = async (directory: DirectoryEntry, path: string): Promise<void> => {
    for (const entry of decodeTree(await objectOf(cut, 'tree', directory.tree))) {
      const name = path + Buffer.from(entry.name).toString('latin1');
      entries.set(name, entry);
      if (entry.kind === 'directory') await visit(entry, `${name}/`);
    }
  };
  await visit(cut.root, '');
  return entries;
}

export async function objectOf(cut: Cut, kind: ObjectKind, digest: Digest): Promise<Uint8Array> {
  const bytes = await cut.readObject(kind, digest);
  if (!bytes) throw new Error(`the cut has no ${kind} ${digestHex(digest)}`);
  return bytes;
}

/** Bytes that do not repeat, the same for the same seed. */
export function noise(seed: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  for (let at = 0; at < length; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[at] = state;
  }
  return bytes;
}
