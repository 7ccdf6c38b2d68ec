/**
 * A whole data directory in one line for each entry: as it is now, read from a path, or as it was at a cut, read from
 * an open epoch of a daemon. The two can be compared.
 */
import { createHash } from 'node:crypto';
import { lstat, readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { EpochAttributes } from '../../src/fs/epoch.ts';
import { listXattrs } from '../../src/fs/native.ts';
import type { MountDaemon } from './mount-daemon.ts';

type Xattrs = EpochAttributes['xattrs'];

/** Path to description. */
export type TreeLines = Map<string, string>;

/** @param root a mountpoint of another process, or a plain directory. */
export async function presentTree(root: string): Promise<TreeLines> {
  const lines: TreeLines = new Map();
  const visit = async (path: string): Promise<void> => {
    const place = join(root, path);
    const stats = await lstat(place, { bigint: true });
    const described = { ...stats, mode: Number(stats.mode), uid: Number(stats.uid), gid: Number(stats.gid) };
    const node = { ...described, inode: stats.ino, nlink: Number(stats.nlink), size: Number(stats.size) };
    const content = stats.isFile() ? await readFile(place) : undefined;
    const target = stats.isSymbolicLink() ? await readlink(place, 'buffer') : undefined;
    lines.set(
      path,
      describe({ ...node, mtimeNs: stats.mtimeNs, ctimeNs: stats.ctimeNs }, listXattrs(place), { content, target }),
    );
    if (!stats.isDirectory()) return;
    for (const name of (await readdir(place)).sort()) await visit(path === '' ? name : `${path}/${name}`);
  };
  await visit('');
  return lines;
}

/** @param root inode of the data directory. */
export async function epochTree(daemon: MountDaemon, epoch: number, root: bigint): Promise<TreeLines> {
  const lines: TreeLines = new Map();
  const visit = async (path: string, self: EpochAttributes): Promise<void> => {
    const bytes = Buffer.from(path);
    const kind = self.mode & 0o170000;
    const content = kind === 0o100000 ? await daemon.readInEpoch(epoch, bytes, self.inode) : undefined;
    lines.set(path, describe(self, self.xattrs, { content, target: self.target }));
    if (kind !== 0o040000) return;
    const names = await daemon.namesInEpoch(epoch, self.inode, bytes);
    const { states } = await daemon.lookInEpoch(epoch, self.inode, bytes, names);
    for (const [number, name] of names.entries()) {
      const below = Buffer.from(name).toString();
      const state = states[number];
      if (!state) throw new Error(`${path}/${below} is listed and not there`);
      await visit(path === '' ? below : `${path}/${below}`, state);
    }
  };
  const { self } = await daemon.lookInEpoch(epoch, root, Buffer.alloc(0), []);
  await visit('', self);
  return lines;
}

function describe(
  node: Pick<EpochAttributes, 'inode' | 'mode' | 'uid' | 'gid' | 'nlink' | 'size' | 'mtimeNs' | 'ctimeNs'>,
  xattrs: Xattrs,
  { content, target }: { content: Uint8Array | undefined; target: Uint8Array | undefined },
): string {
  const { inode, mode, uid, gid, nlink, mtimeNs, ctimeNs } = node;
  const parts = [`inode ${inode}`, mode.toString(8), `${uid}:${gid}`, `links ${nlink}`, `${mtimeNs}`, `${ctimeNs}`];
  // A directory's size is the file system's own affair.
  if (content) parts.push(`${node.size} bytes`, createHash('sha256').update(content).digest('hex').slice(0, 16));
  if (target) parts.push(`to ${Buffer.from(target)}`);
  const sorted = xattrs.map(({ name, value }) => `${Buffer.from(name)}=${Buffer.from(value).toString('hex')}`).sort();
  return [...parts, ...sorted].join(' ');
}
