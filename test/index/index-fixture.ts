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
import { type Cut, type ObjectKind } from '../../src/core/ports.ts';
import { decodeTree, type DirectoryEntry, type TreeEntry } from '../../src/core/tree.ts';
import { type IndexOptions, type LiveIndex, openIndex } from '../../src/index/live-index.ts';

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
  /** The digest of the data directory's tree as a fresh index sees it. */
  freshRoot(): Promise<string>;
}

export async function makeFixture(t: TestContext): Promise<Fixture> {
  const directory = mkdtempSync(join(tmpdir(), 'covault-index-'));
  const data = join(directory, 'data');
  const state = join(directory, 'state');
  await mkdir(data);
  await mkdir(state);
  const open = async (options: Partial<IndexOptions> = {}): Promise<LiveIndex> => {
    const directoryFd = openSync(data, 'r');
    try {
      const index = await openIndex({
        stateDirectory: state,
        directoryFd,
        domain: testDomain,
        clock: systemClock,
        ...options,
      });
      indexes.push(index);
      return index;
    } finally {
      closeSync(directoryFd);
    }
  };
  const indexes: LiveIndex[] = [];
  t.after(async () => {
    for (const index of indexes) await index.close();
    rmSync(directory, { recursive: true, force: true });
  });
  let fresh = 0;
  return {
    data,
    state,
    open,
    async freshRoot() {
      const index = await open({ stateDirectory: join(directory, `fresh-${fresh++}`) });
      const root = await rootDigest(index);
      await index.close();
      return root;
    },
  };
}

/** The digest of the root's tree, and its attributes, of the index made level. */
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
