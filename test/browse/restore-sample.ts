/** Trees to restore, and restoring them, for the tests of restoring. */
import { readdirSync } from 'node:fs';
import { type RestoreOptions, restoreSnapshot } from '../../src/browse/restore.ts';
import type { SnapshotRecord } from '../../src/core/snapshot.ts';
import { MemoryStore } from './memory-store.ts';
import { attributes, directory, file, type ModelDirectory, symlink } from './tree-model.ts';

export function snapshotOf(model: ModelDirectory): { store: MemoryStore; snapshot: SnapshotRecord } {
  const store = new MemoryStore();
  return { store, snapshot: store.add('laptop', 0n, model) };
}

export function restore(
  { store, snapshot }: { store: MemoryStore; snapshot: SnapshotRecord },
  target: string,
  options: Partial<RestoreOptions> = {},
) {
  return restoreSnapshot({ reader: store, snapshot, target, ...options });
}

export function paths(...all: string[]): Uint8Array[] {
  return all.map((path) => Buffer.from(path, 'latin1'));
}

export const block = (number: number, bytes = 5000) => new Uint8Array(bytes).fill(number);

/** A tree that takes many blocks to restore. */
export function sample(): ModelDirectory {
  const linked = file([block(1), block(2)]);
  return directory(
    {
      docs: directory(
        {
          'a.txt': file('first', { mode: 0o600 }),
          'b.bin': file([block(3), 100_000, block(4), block(3), 7, block(5), block(6)], { mode: 0o444 }),
          linked,
        },
        { mode: 0o750, mtimeNs: 1_600_000_000_000_000_007n },
      ),
      deep: directory({ er: directory({ linked, last: file([block(7)]) }, { mode: 0o555 }) }),
      empty: directory(),
      link: symlink('../outside'),
      pipe: { ...attributes({ mode: 0o640 }), kind: 'fifo' },
      socket: { ...attributes({ mode: 0o600 }), kind: 'socket' },
      'odd\xff\n': file('odd name', { xattrs: [{ name: Buffer.from('user.a'), value: Buffer.from([0, 255]) }] }),
      zero: file(''),
    },
    { mode: 0o711, mtimeNs: -5n },
  );
}

export function stagingIsGone(target: string): boolean {
  return readdirSync(target).every((name) => !name.startsWith('.covault'));
}
