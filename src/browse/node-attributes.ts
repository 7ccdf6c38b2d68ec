/** Attributes of entries in the form in which a mounted tree reports them. */
import { isBlock } from '../core/recipe.ts';
import type { EntryKind, TreeEntry } from '../core/tree.ts';
import type { NodeAttributes } from '../fs/tree-session.ts';

/** File type bits of `st_mode` on Linux and macOS. */
const typeBits: Record<EntryKind, number> = {
  file: 0o100000,
  directory: 0o040000,
  symlink: 0o120000,
  fifo: 0o010000,
  socket: 0o140000,
  char: 0o020000,
  block: 0o060000,
};

/** Size reported for directories, bytes: any constant does. */
const directoryBytes = 4096;

/** Bytes of the unit in which `st_blocks` counts. */
const statBlockBytes = 512;

/** Type and permission bits. */
export function fullMode(kind: EntryKind, mode: number): number {
  return typeBits[kind] | mode;
}

/**
 * The attributes of an entry.
 *
 * Directories have a link count of 1, which by convention (btrfs) means that it does not tell the number of
 * subdirectories. A secondary copy knows one time of a file; it stands for all three.
 */
export function attributesOf(node: bigint, entry: TreeEntry, nlink: number): NodeAttributes {
  return {
    node,
    mode: fullMode(entry.kind, entry.mode),
    nlink,
    uid: entry.uid,
    gid: entry.gid,
    rdev: entry.kind === 'char' || entry.kind === 'block' ? entry.rdev : 0n,
    size: sizeOf(entry),
    blocks: Math.ceil(allocatedBytes(entry) / statBlockBytes),
    atimeNs: entry.mtimeNs,
    mtimeNs: entry.mtimeNs,
    ctimeNs: entry.mtimeNs,
  };
}

/** The attributes of a directory (0555) or symlink (0777) that stands above the snapshots and belongs to this process. */
export function topAttributes(
  node: bigint,
  kind: 'directory' | 'symlink',
  options: { size?: number; timeNs: bigint },
): NodeAttributes {
  return {
    node,
    mode: fullMode(kind, kind === 'directory' ? 0o555 : 0o777),
    nlink: 1,
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    rdev: 0n,
    size: options.size ?? directoryBytes,
    blocks: 0,
    atimeNs: options.timeNs,
    mtimeNs: options.timeNs,
    ctimeNs: options.timeNs,
  };
}

function sizeOf(entry: TreeEntry): number {
  switch (entry.kind) {
    case 'file':
      return entry.size;
    case 'directory':
      return directoryBytes;
    case 'symlink':
      return entry.target.byteLength;
    default:
      return 0;
  }
}

/**
 * Bytes that are not holes. Where the recipe is an object of its own the size is taken: attributes of a whole
 * directory must not cost one recipe for each large file.
 */
function allocatedBytes(entry: TreeEntry): number {
  if (entry.kind !== 'file') return 0;
  if (!('segments' in entry.content)) return entry.size;
  return entry.content.segments.reduce((sum, segment) => sum + (isBlock(segment) ? segment.length : 0), 0);
}
