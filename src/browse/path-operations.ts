/**
 * A read-only tree as a table of operations on paths, in the form that `fuse-native` takes: names are text, answers go
 * to a callback as 0 or a negative errno, times have milliseconds and inode numbers 32 bits.
 *
 * The table is a plain object that can be called without any mount.
 */
import { constants as fsConstants } from 'node:fs';
import { constants } from 'node:os';
import { limits } from '../core/limits.ts';
import { errnoOf } from '../fs/errno.ts';
import type { NodeAttributes, ReadOnlyTree } from '../fs/tree-session.ts';
import { namesShownAs, shownName } from './shown-names.ts';

/** What `fuse-native` makes a `struct stat` of. */
export interface PathStat {
  mode: number;
  uid: number;
  gid: number;
  size: number;
  dev: number;
  nlink: number;
  ino: number;
  rdev: number;
  blksize: number;
  blocks: number;
  /** Milliseconds since 1970; times before are shown as 1970. */
  atime: number;
  mtime: number;
  ctime: number;
}

type Answer<Value = undefined> = (errno: number, value?: Value) => void;

export interface PathOperations {
  getattr(path: string, answer: Answer<PathStat>): void;
  readdir(path: string, answer: Answer<string[]>): void;
  readlink(path: string, answer: Answer<string>): void;
  open(path: string, flags: number, answer: Answer<number>): void;
  /** Answers the number of bytes put into `buffer`, or a negative errno. */
  read(path: string, fd: number, buffer: Uint8Array, length: number, offset: number, answer: Answer): void;
  release(path: string, fd: number, answer: Answer): void;
  listxattr(path: string, answer: Answer<string[]>): void;
  /** Answers no value if there is no such attribute; `fuse-native` knows the errno for that. */
  getxattr(path: string, name: string, position: number, answer: Answer<Buffer>): void;
  statfs(path: string, answer: Answer<Record<string, number>>): void;
  /** Operations that would change something: refused with `EROFS`. The last argument is the callback. */
  [refused: string]: (...values: never[]) => void;
}

/** Operations of `fuse-native` that change something. */
const changingOperations = [
  'chmod',
  'chown',
  'create',
  'ftruncate',
  'link',
  'mkdir',
  'mknod',
  'removexattr',
  'rename',
  'rmdir',
  'setxattr',
  'symlink',
  'truncate',
  'unlink',
  'utimens',
  'write',
];

const writingFlags = fsConstants.O_WRONLY | fsConstants.O_RDWR | fsConstants.O_TRUNC;
const bytesPerBlock = 4096;
const uint32 = 2 ** 32;

export function pathOperations(tree: ReadOnlyTree): PathOperations {
  const at = (path: string) => nodeAt(tree, path);
  const operations: PathOperations = {
    getattr: (path, answer) => reply(answer, async () => statOf(await tree.attributes(await at(path)))),
    readdir: (path, answer) => reply(answer, async () => shownNames(tree, await at(path))),
    readlink: (path, answer) => reply(answer, async () => Buffer.from(await tree.readLink(await at(path))).toString()),
    open: (path, flags, answer) =>
      reply(answer, async () => {
        if ((flags & writingFlags) !== 0) throw systemError('EROFS');
        await at(path);
        return 0;
      }),
    read: (path, _fd, buffer, length, offset, answer) =>
      void readInto(tree, path, { buffer, length, offset }).then(
        (count) => answer(count),
        (error: unknown) => answer(-errnoOf(error)),
      ),
    release: (_path, _fd, answer) => answer(0),
    listxattr: (path, answer) =>
      reply(answer, async () => (await tree.listXattrs(await at(path))).map(({ name }) => shownName(name))),
    getxattr: (path, name, _position, answer) =>
      reply(answer, async () => {
        const xattrs = await tree.listXattrs(await at(path));
        const found = xattrs.find((xattr) => shownName(xattr.name) === name);
        return found && Buffer.from(found.value);
      }),
    statfs: (_path, answer) =>
      answer(0, { bsize: bytesPerBlock, frsize: bytesPerBlock, namemax: limits.nameBytesMax, flag: 1 }),
  };
  for (const name of changingOperations) {
    operations[name] = (...values: unknown[]) => (values.at(-1) as Answer)(-constants.errno.EROFS);
  }
  return operations;
}

async function nodeAt(tree: ReadOnlyTree, path: string): Promise<bigint> {
  let node = 1n;
  for (const text of path.split('/').filter((part) => part !== '')) {
    node = await childAt(tree, node, text);
  }
  return node;
}

async function childAt(tree: ReadOnlyTree, parent: bigint, text: string): Promise<bigint> {
  for (const name of namesShownAs(text)) {
    const found = await tree.lookup(parent, name);
    if (found !== undefined) return found.node;
  }
  throw systemError('ENOENT');
}

/** Names that are too long as text cannot be reached and are left out. */
async function shownNames(tree: ReadOnlyTree, node: bigint): Promise<string[]> {
  const names = (await tree.readDirectory(node)).map(({ name }) => shownName(name));
  return ['.', '..', ...names.filter((name) => Buffer.byteLength(name) <= limits.nameBytesMax)];
}

async function readInto(
  tree: ReadOnlyTree,
  path: string,
  { buffer, length, offset }: { buffer: Uint8Array; length: number; offset: number },
): Promise<number> {
  const bytes = await tree.read(await nodeAt(tree, path), offset, length);
  buffer.set(bytes);
  return bytes.byteLength;
}

function statOf(attributes: NodeAttributes): PathStat {
  const ms = (ns: bigint) => Math.max(0, Number(ns / 1_000_000n));
  return {
    mode: attributes.mode,
    uid: attributes.uid,
    gid: attributes.gid,
    size: attributes.size,
    dev: 0,
    nlink: attributes.nlink,
    ino: Number(attributes.node % BigInt(uint32)),
    rdev: Number(attributes.rdev % BigInt(uint32)),
    blksize: bytesPerBlock,
    blocks: attributes.blocks,
    atime: ms(attributes.atimeNs),
    mtime: ms(attributes.mtimeNs),
    ctime: ms(attributes.ctimeNs),
  };
}

function reply<Value>(answer: Answer<Value>, act: () => Promise<Value | undefined>): void {
  act().then(
    (value) => answer(0, value),
    (error: unknown) => answer(-errnoOf(error)),
  );
}

function systemError(code: string): Error {
  return Object.assign(new Error(code), { code });
}
