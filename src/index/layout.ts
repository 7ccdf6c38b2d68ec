/**
 * Byte layout of the index's keys and values, as pure functions. The tables themselves are described in
 * `docs/design/index.md`. All whole numbers in keys are big endian, so that the order of bytes is their order.
 */
import { decode, encode } from '../core/codec.ts';
import { type Digest, digestBytes } from '../core/digest.ts';
import { CovaultError } from '../core/errors.ts';
import { type Block, isBlock, packSegments, type Segment, unpackRecipe } from '../core/recipe.ts';
import { asBytes, asCount, asDigest, asInt64, asList, asUint64 } from '../core/shape.ts';
import { type EntryKind, entryKinds, type Xattr } from '../core/tree.ts';

const inodeBytes = 8;

export function inodeKey(inode: bigint): Buffer {
  const key = Buffer.allocUnsafe(inodeBytes);
  key.writeBigUInt64BE(inode);
  return key;
}

export function inodeOfKey(key: Uint8Array): bigint {
  return asBuffer(key).readBigUInt64BE(0);
}

/** Where a name stands: the directory's inode and the name within it. Key of `names`, value of `links`. */
export interface Place {
  parent: bigint;
  name: Uint8Array;
}

export function placeKey(parent: bigint, name: Uint8Array): Buffer {
  const key = Buffer.allocUnsafe(inodeBytes + name.byteLength);
  key.writeBigUInt64BE(parent);
  key.set(name, inodeBytes);
  return key;
}

/** The name is a view into `key`. */
export function placeOfKey(key: Uint8Array): Place {
  return { parent: inodeOfKey(key), name: key.subarray(inodeBytes) };
}

/** The first key that is greater than all keys that begin with the inode's eight bytes, or undefined for the last. */
export function endOfInode(inode: bigint): Buffer | undefined {
  return inode === 0xffff_ffff_ffff_ffffn ? undefined : inodeKey(inode + 1n);
}

/** Where a block can be read. */
export interface Location {
  inode: bigint;
  /** Bytes from the start of the file. */
  offset: number;
  length: number;
}

export function packLocation(location: Location): Buffer {
  const value = Buffer.allocUnsafe(20);
  value.writeBigUInt64BE(location.inode);
  value.writeBigUInt64BE(BigInt(location.offset), 8);
  value.writeUInt32BE(location.length, 16);
  return value;
}

export function unpackLocation(value: Uint8Array): Location {
  const bytes = asBuffer(value);
  return { inode: bytes.readBigUInt64BE(0), offset: Number(bytes.readBigUInt64BE(8)), length: bytes.readUInt32BE(16) };
}

/** A block at a place of a file. */
export interface PlacedDigest {
  digest: Digest;
  offset: number;
  length: number;
}

const placedDigestBytes = digestBytes + 12;

/** Value of `intents`. */
export function packPlacedDigests(placed: readonly PlacedDigest[]): Buffer {
  const value = Buffer.allocUnsafe(placed.length * placedDigestBytes);
  placed.forEach(({ digest, offset, length }, number) => {
    const at = number * placedDigestBytes;
    value.set(digest, at);
    value.writeBigUInt64BE(BigInt(offset), at + digestBytes);
    value.writeUInt32BE(length, at + digestBytes + 8);
  });
  return value;
}

/** The digests are views into `value`. */
export function unpackPlacedDigests(value: Uint8Array): PlacedDigest[] {
  const bytes = asBuffer(value);
  const placed: PlacedDigest[] = [];
  for (let at = 0; at + placedDigestBytes <= bytes.byteLength; at += placedDigestBytes) {
    placed.push({
      digest: bytes.subarray(at, at + digestBytes),
      offset: Number(bytes.readBigUInt64BE(at + digestBytes)),
      length: bytes.readUInt32BE(at + digestBytes + 8),
    });
  }
  return placed;
}

/** A file's state when its content was read: unchanged since, as far as the file system tells, if it is still so. */
export interface Stamp {
  size: number;
  mtimeNs: bigint;
  ctimeNs: bigint;
  /** Wall-clock time before the reading began. */
  readAtNs: bigint;
}

/** What is known of a file's content; `size` is that of the recipe. */
export type RowContent = { size: number; segments: Segment[] } | { size: number; recipe: Digest };

/** What the index knows of one inode, names apart. */
export interface InodeRow {
  kind: EntryKind;
  /** Permission bits with setuid, setgid and sticky. */
  mode: number;
  uid: number;
  gid: number;
  /** Bytes, as last seen; 0 for what is no file. */
  size: number;
  mtimeNs: bigint;
  ctimeNs: bigint;
  nlink: number;
  /** Of a device, else 0n. */
  rdev: bigint;
  /** Of a symlink, else undefined. */
  target: Uint8Array | undefined;
  xattrs: Xattr[];
  /** Of a file; undefined if it was never read, or cannot be. */
  content: RowContent | undefined;
  /** Undefined if the content was read while the file changed. */
  stamp: Stamp | undefined;
}

export function packRow(row: InodeRow): Uint8Array {
  const { content, stamp } = row;
  return encode([
    entryKinds.indexOf(row.kind),
    row.mode,
    row.uid,
    row.gid,
    row.size,
    row.mtimeNs,
    row.ctimeNs,
    row.nlink,
    row.rdev,
    row.target ?? null,
    row.xattrs.length === 0 ? null : row.xattrs.map(({ name, value }) => [name, value]),
    content === undefined
      ? null
      : [content.size, 'recipe' in content ? content.recipe : packSegments(content.segments)],
    stamp === undefined ? null : [stamp.size, stamp.mtimeNs, stamp.ctimeNs, stamp.readAtNs],
  ]);
}

/** @throws CovaultError `E_CORRUPT`. */
export function unpackRow(bytes: Uint8Array): InodeRow {
  const fields = asList(decode(bytes, 'inode row'), 'inode row', 13);
  const kind = entryKinds[asCount(fields[0], 'kind')];
  if (kind === undefined) throw new CovaultError('E_CORRUPT', 'inode row of an unknown kind');
  return {
    kind,
    mode: asCount(fields[1], 'mode'),
    uid: asCount(fields[2], 'uid'),
    gid: asCount(fields[3], 'gid'),
    size: asCount(fields[4], 'size'),
    mtimeNs: asInt64(fields[5], 'mtime'),
    ctimeNs: asInt64(fields[6], 'ctime'),
    nlink: asCount(fields[7], 'nlink'),
    rdev: asUint64(fields[8], 'rdev'),
    target: fields[9] === null ? undefined : asBytes(fields[9], 'target'),
    xattrs: fields[10] === null ? [] : asList(fields[10], 'xattrs').map(unpackXattr),
    content: fields[11] === null ? undefined : unpackContent(asList(fields[11], 'content', 2)),
    stamp: fields[12] === null ? undefined : unpackStamp(asList(fields[12], 'stamp', 4)),
  };
}

function unpackXattr(value: unknown): Xattr {
  const fields = asList(value, 'xattr', 2);
  return { name: asBytes(fields[0], 'xattr name'), value: asBytes(fields[1], 'xattr value') };
}

function unpackContent(fields: unknown[]): RowContent {
  if (fields[1] instanceof Uint8Array) {
    return { size: asCount(fields[0], 'content size'), recipe: asDigest(fields[1], 'recipe digest') };
  }
  return unpackRecipe(fields[0], fields[1]);
}

function unpackStamp(fields: unknown[]): Stamp {
  return {
    size: asCount(fields[0], 'stamp size'),
    mtimeNs: asInt64(fields[1], 'stamp mtime'),
    ctimeNs: asInt64(fields[2], 'stamp ctime'),
    readAtNs: asInt64(fields[3], 'stamp time'),
  };
}

/** Dirty ranges of a file as pairs of offsets, or undefined for the whole of it. Value of `dirty`. */
export function packRanges(ranges: readonly number[] | undefined): Uint8Array {
  return encode(ranges ?? null);
}

/** @throws CovaultError `E_CORRUPT`. */
export function unpackRanges(bytes: Uint8Array): number[] | undefined {
  const value = decode(bytes, 'dirty ranges');
  return value === null ? undefined : asList(value, 'dirty ranges').map((offset) => asCount(offset, 'offset'));
}

/** What one transaction gained and lost. Value of `feed`. */
export function packFeedChange(gained: readonly Digest[], lost: readonly Digest[]): Buffer {
  const head = Buffer.allocUnsafe(4);
  head.writeUInt32BE(gained.length);
  return Buffer.concat([head, ...gained, ...lost]);
}

/** @throws CovaultError `E_CORRUPT`. */
export function unpackFeedChange(value: Uint8Array): { gained: Digest[]; lost: Digest[] } {
  const digests: Digest[] = [];
  for (let at = 4; at < value.byteLength; at += digestBytes) digests.push(value.subarray(at, at + digestBytes));
  const gainedCount = value.byteLength < 4 ? -1 : asBuffer(value).readUInt32BE(0);
  if (gainedCount < 0 || gainedCount > digests.length || (value.byteLength - 4) % digestBytes !== 0) {
    throw new CovaultError('E_CORRUPT', 'feed change of a wrong length');
  }
  return { gained: digests.slice(0, gainedCount), lost: digests.slice(gainedCount) };
}

export function sequenceKey(sequence: number): Buffer {
  return inodeKey(BigInt(sequence));
}

export function sequenceOfKey(key: Uint8Array): number {
  return Number(inodeOfKey(key));
}

/** A tree with the number of directories that have it. Value of `trees`. */
export function packTree(references: number, bytes: Uint8Array): Buffer {
  const value = Buffer.allocUnsafe(4 + bytes.byteLength);
  value.writeUInt32BE(references);
  value.set(bytes, 4);
  return value;
}

/** The bytes are a view into `value`. */
export function unpackTree(value: Uint8Array): { references: number; bytes: Uint8Array } {
  return { references: asBuffer(value).readUInt32BE(0), bytes: value.subarray(4) };
}

/** The blocks of `segments` with where they begin. */
export function* placedBlocks(segments: readonly Segment[]): Generator<{ block: Block; offset: number }> {
  let offset = 0;
  for (const segment of segments) {
    if (isBlock(segment)) yield { block: segment, offset };
    offset += segment.length;
  }
}

/** A Buffer over the same memory. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
