/** What a tree shows: every name, attribute and byte of it, read back from a snapshot or from a directory. */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { listXattrs } from '../../src/fs/native.ts';
import type { NodeAttributes, ReadOnlyTree } from '../../src/fs/tree-session.ts';
import type { Kind } from './node.ts';

export interface ImageNode {
  kind: Kind | 'other';
  mode: number;
  nlink: number;
  /** Equal for names of one file. */
  number: bigint;
  mtimeNs: bigint;
  /** In the order of their names. */
  xattrs: [name: string, value: string][];
  /** Of a file. */
  content: Buffer;
  /** Of a symlink. */
  target: string;
}

/** By path, without the root itself. */
export type Image = Map<string, ImageNode>;

const readBytes = 128 * 1024;

/** Everything below a directory of a tree as `browse` shows it. */
export async function readImage(tree: ReadOnlyTree, directory: bigint): Promise<Image> {
  const image: Image = new Map();
  const visit = async (node: bigint, above: string): Promise<void> => {
    for (const item of await tree.readDirectory(node)) {
      const path = above + Buffer.from(item.name).toString();
      const found = await readNode(tree, await tree.attributes(item.node));
      image.set(path, found);
      if (found.kind === 'directory') await visit(item.node, `${path}/`);
    }
  };
  await visit(directory, '');
  return image;
}

async function readNode(tree: ReadOnlyTree, attributes: NodeAttributes): Promise<ImageNode> {
  const { node, mode, nlink, mtimeNs, size } = attributes;
  const kind = kindOf(mode);
  const xattrs = await tree.listXattrs(node);
  const content = kind === 'file' ? await readContent(tree, node, size) : Buffer.alloc(0);
  const target = kind === 'symlink' ? Buffer.from(await tree.readLink(node)).toString() : '';
  return { kind, mode: mode & 0o7777, nlink, number: node, mtimeNs, xattrs: ordered(xattrs), content, target };
}

async function readContent(tree: ReadOnlyTree, node: bigint, size: number): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < size; ) {
    const part = await tree.read(node, at, Math.min(readBytes, size - at));
    if (part.byteLength === 0) break;
    // The tree may use its memory again.
    parts.push(Buffer.from(part));
    at += part.byteLength;
  }
  return Buffer.concat(parts);
}

/** Everything below a directory on disk, at rest. */
export function readDirectoryImage(root: string): Image {
  const image: Image = new Map();
  const visit = (directory: string) => {
    for (const name of fs.readdirSync(`${root}/${directory}`)) {
      const path = `${directory}${name}`;
      const full = `${root}/${path}`;
      const stat = fs.lstatSync(full, { bigint: true });
      const mode = Number(stat.mode);
      const kind = kindOf(mode);
      const content = kind === 'file' ? fs.readFileSync(full) : Buffer.alloc(0);
      const target = kind === 'symlink' ? fs.readlinkSync(full) : '';
      const nlink = kind === 'directory' ? 1 : Number(stat.nlink);
      const attributes = { mode: mode & 0o7777, nlink, number: stat.ino, mtimeNs: stat.mtimeNs };
      image.set(path, { kind, ...attributes, xattrs: ordered(listXattrs(full)), content, target });
      if (kind === 'directory') visit(`${path}/`);
    }
  };
  visit('');
  return image;
}

/** One digest of everything in an image but the numbers of nodes, of which only equality counts. */
export function digestOfImage(image: Image): string {
  const hash = createHash('sha256');
  const numbers = new Map<bigint, number>();
  for (const path of [...image.keys()].sort()) {
    const { number, content, mtimeNs, ...rest } = image.get(path) as ImageNode;
    if (!numbers.has(number)) numbers.set(number, numbers.size);
    hash.update(JSON.stringify([path, numbers.get(number), String(mtimeNs), content.byteLength, rest]));
    hash.update(content);
  }
  return hash.digest('hex');
}

function ordered(xattrs: readonly { name: Uint8Array; value: Uint8Array }[]): [string, string][] {
  return xattrs
    .map(({ name, value }): [string, string] => [Buffer.from(name).toString(), Buffer.from(value).toString()])
    .filter(([name]) => name.startsWith('user.'))
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

function kindOf(mode: number): ImageNode['kind'] {
  switch (mode & 0o170000) {
    case 0o040000:
      return 'directory';
    case 0o100000:
      return 'file';
    case 0o120000:
      return 'symlink';
    case 0o010000:
      return 'fifo';
    default:
      return 'other';
  }
}
