/** A store with one of everything, for tests that mount one. */
import { digestKey } from '../../src/core/digest.ts';
import { MemoryStore } from './memory-store.ts';
import { attributes, directory, file, isRoot, type ModelDirectory, symlink } from './tree-model.ts';

/** Whole milliseconds, which is what `fuse-native` can show. */
const ms = { mtimeNs: 1_700_000_000_123_000_000n };

/** What a text interface with times in milliseconds can show. */
export function plainModel(): ModelDirectory {
  const linked = file('linked', ms);
  const big = Array.from({ length: 40 }, (_, which) => new Uint8Array(70_000).fill(which + 1));
  const many = Object.fromEntries(Array.from({ length: 800 }, (_, which) => [`file-${which}`, file(`${which}`, ms)]));
  return directory(
    {
      'a.txt': file('content', {
        ...ms,
        mode: 0o600,
        xattrs: [{ name: Buffer.from('user.note'), value: Buffer.from([0, 1, 255]) }],
      }),
      'big.bin': file(big, ms),
      empty: file('', ms),
      link: symlink('sub/../a.txt', ms),
      many: directory(many, ms),
      one: linked,
      sparse: file([new Uint8Array(5000).fill(1), 3_000_000, new Uint8Array(1)], ms),
      sub: directory({ two: linked, deeper: directory({ three: linked }, ms) }, { ...ms, mode: 0o750 }),
      [Buffer.from('ünï').toString('latin1')]: file('name', ms),
      pipe: { ...attributes(ms), kind: 'fifo' },
      socket: { ...attributes(ms), kind: 'socket' },
      ...(isRoot ? { foreign: file('foreign', { ...ms, uid: 123, gid: 456, mode: 0o640 }) } : {}),
    },
    { ...ms, mode: 0o755 },
  );
}

/** Besides, what only the addon can show. */
export function oddModel(): ModelDirectory {
  const model = directory({
    '\xff\xfe': file('not UTF-8', { mtimeNs: 1n }),
    'new\nline': directory(
      { '\x01': file('x', { mtimeNs: -1_500_000_001n }) },
      { mtimeNs: 4_000_000_000_999_999_999n },
    ),
    ['n'.repeat(255)]: file('long', { mtimeNs: 1_700_000_000_123_456_789n }),
    dangling: symlink('no\xffwhere'),
  });
  if (isRoot) model.children.set('null', { ...attributes(), kind: 'char', rdev: 0x103n });
  return model;
}

export function storeToBrowse(): MemoryStore {
  const store = new MemoryStore();
  store.add('plain', 1_795_348_800_000_000_000n, plainModel());
  store.add('odd', 1_795_348_800_000_000_000n, oddModel());
  const blocks = [new Uint8Array(70_000).fill(201), new Uint8Array(70_000).fill(202)];
  store.add('damaged', 1_795_348_800_000_000_000n, directory({ f: file(blocks), g: file('intact') }));
  store.blocks.delete(digestKey(store.addBlock(blocks[1] as Uint8Array)));
  return store;
}
