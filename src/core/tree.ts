/**
 * Trees: a directory's entries with all their attributes, as one encoded object named by its digest.
 *
 * Encoded form, version 1: `[1, entries]`, entries in ascending byte order of their names, each
 * `[name, kind, mode, uid, gid, mtimeNs, xattrs, link, rest…]` with
 *   xattrs  `[[name, value], …]` in ascending byte order of the names, or null
 *   link    inode number shared by the names of one hard-linked file, or null
 *   rest    file: `size, segments` (inline recipe) or `size, recipeDigest`; directory: `treeDigest`;
 *           symlink: `target`; char and block: `rdev`; fifo and socket: nothing.
 * A file whose content could not be read has `size, null` (an exception of the snapshot).
 */
import { decode, encode } from './codec.ts';
import type { Digest } from './digest.ts';
import { CovaultError } from './errors.ts';
import { limits } from './limits.ts';
import { packSegments, type Recipe, type Segment, unpackRecipe } from './recipe.ts';
import { asBytes, asCount, asDigest, asInt64, asList, asOneOf, asUint64 } from './shape.ts';

export const entryKinds = ['file', 'directory', 'symlink', 'fifo', 'socket', 'char', 'block'] as const;
export type EntryKind = (typeof entryKinds)[number];

export interface Xattr {
  /** Without a terminating zero, namespace included ("user.comment"). */
  name: Uint8Array;
  value: Uint8Array;
}

/** What every kind of entry has. */
export interface EntryAttributes {
  /** 1 to 255 bytes, neither "/" nor zero in it, not "." or "..". The root of a snapshot has an empty name. */
  name: Uint8Array;
  /** Permission bits with setuid, setgid and sticky: 0 to 0o7777. */
  mode: number;
  uid: number;
  gid: number;
  mtimeNs: bigint;
  xattrs: Xattr[];
  /** Present when the file has more names than one: equal for all of them within one snapshot. */
  link?: bigint;
}

/** Inline segments for short recipes (`limits.inlineSegmentsMax`), else the digest of the recipe object. */
export type Content = { segments: Segment[] } | { recipe: Digest } | { missing: true };

export type TreeEntry = EntryAttributes &
  (
    | { kind: 'file'; size: number; content: Content }
    | { kind: 'directory'; tree: Digest }
    | { kind: 'symlink'; target: Uint8Array }
    | { kind: 'char' | 'block'; rdev: bigint }
    | { kind: 'fifo' | 'socket' }
  );

export type DirectoryEntry = Extract<TreeEntry, { kind: 'directory' }>;
export type FileEntry = Extract<TreeEntry, { kind: 'file' }>;

/** Encodes a directory. `entries` may be in any order; it is not changed. */
export function encodeTree(entries: readonly TreeEntry[]): Uint8Array {
  const sorted = [...entries].sort((a, b) => Buffer.compare(a.name, b.name));
  return encode([1, sorted.map(packEntry)]);
}

/** @throws CovaultError `E_CORRUPT` or `E_VERSION`. */
export function decodeTree(bytes: Uint8Array): TreeEntry[] {
  const fields = asList(decode(bytes, 'tree'), 'tree', 2);
  if (fields[0] !== 1) throw new CovaultError('E_VERSION', `tree of unknown version ${String(fields[0])}`);
  const entries = asList(fields[1], 'entries').map(unpackEntry);
  entries.forEach((entry, position) => {
    checkName(entry.name);
    const before = entries[position - 1];
    if (before && Buffer.compare(before.name, entry.name) >= 0)
      throw new CovaultError('E_CORRUPT', 'tree is not in order');
  });
  return entries;
}

/** The plain form of one entry inside another record (the root of a snapshot). */
export function packEntry(entry: TreeEntry): unknown[] {
  const xattrs = entry.xattrs.length === 0 ? null : packXattrs(entry.xattrs);
  const fields: unknown[] = [
    entry.name,
    entry.kind,
    entry.mode,
    entry.uid,
    entry.gid,
    entry.mtimeNs,
    xattrs,
    entry.link ?? null,
  ];
  switch (entry.kind) {
    case 'file':
      fields.push(entry.size, packContent(entry.content));
      break;
    case 'directory':
      fields.push(entry.tree);
      break;
    case 'symlink':
      fields.push(entry.target);
      break;
    case 'char':
    case 'block':
      fields.push(entry.rdev);
      break;
  }
  return fields;
}

/** The inverse of `packEntry`, checked, but for the name: a root has none. */
export function unpackEntry(value: unknown): TreeEntry {
  const fields = asList(value, 'entry', 10);
  const kind = asOneOf(fields[1], 'entry kind', entryKinds);
  const attributes: EntryAttributes = {
    name: asBytes(fields[0], 'entry name', limits.nameBytesMax),
    mode: asCount(fields[2], 'mode', 0o7777),
    uid: asCount(fields[3], 'uid', 0xffff_ffff),
    gid: asCount(fields[4], 'gid', 0xffff_ffff),
    mtimeNs: asInt64(fields[5], 'mtime'),
    xattrs: fields[6] === null ? [] : asList(fields[6], 'xattrs').map(unpackXattr),
    ...(fields[7] === null ? {} : { link: asUint64(fields[7], 'link') }),
  };
  switch (kind) {
    case 'file': {
      const size = asCount(fields[8], 'file size');
      return { ...attributes, kind, size, content: unpackContent(size, fields[9]) };
    }
    case 'directory':
      return { ...attributes, kind, tree: asDigest(fields[8], 'tree digest') };
    case 'symlink':
      return { ...attributes, kind, target: asBytes(fields[8], 'link target', 4096) };
    case 'char':
    case 'block':
      return { ...attributes, kind, rdev: asUint64(fields[8], 'rdev') };
    case 'fifo':
    case 'socket':
      return { ...attributes, kind };
  }
}

/** The recipe of a file whose content is inline; undefined if it is an object of its own or missing. */
export function inlineRecipe(entry: FileEntry): Recipe | undefined {
  return 'segments' in entry.content ? { size: entry.size, segments: entry.content.segments } : undefined;
}

function checkName(name: Uint8Array): void {
  const dots = name.byteLength <= 2 && name.every((byte) => byte === 0x2e);
  if (name.byteLength === 0 || dots || name.includes(0) || name.includes(0x2f)) {
    throw new CovaultError('E_CORRUPT', `not a file name: ${JSON.stringify(Buffer.from(name).toString('latin1'))}`);
  }
}

function packXattrs(xattrs: readonly Xattr[]): unknown[] {
  return [...xattrs].sort((a, b) => Buffer.compare(a.name, b.name)).map(({ name, value }) => [name, value]);
}

function unpackXattr(value: unknown): Xattr {
  const fields = asList(value, 'xattr', 2);
  return {
    name: asBytes(fields[0], 'xattr name', limits.nameBytesMax),
    value: asBytes(fields[1], 'xattr value', limits.xattrBytesMax),
  };
}

function packContent(content: Content): unknown {
  if ('missing' in content) return null;
  return 'recipe' in content ? content.recipe : packSegments(content.segments);
}

function unpackContent(size: number, packed: unknown): Content {
  if (packed === null) return { missing: true };
  if (packed instanceof Uint8Array) return { recipe: asDigest(packed, 'recipe digest') };
  return { segments: unpackRecipe(size, packed).segments };
}
