/** Encodes what a read-only tree answers, in the layout of `native/src/forward.h` (`TreeLayout`). Pure. */
import { CovaultError } from '../core/errors.ts';
import { limits } from '../core/limits.ts';
import type { Xattr } from '../core/tree.ts';
import type { TreeLayout } from './addon.ts';
import type { DirectoryItem, NodeAttributes } from './tree-session.ts';

/** Means "for ever" in the field `cacheMs`; less than that is a number of milliseconds. */
const forEverMs = 0xffff_ffff;

const msPerSecond = 1000;

/** An item as it is sent: with attributes if they are asked for and known. */
export interface SentItem {
  item: DirectoryItem;
  attributes?: NodeAttributes | undefined;
  cacheSeconds: number;
  /** Where the directory goes on behind this item; never 0. */
  nextOffset: number;
}

export function encodeAttributes(layout: TreeLayout, attributes: NodeAttributes, cacheSeconds: number): Uint8Array {
  const bytes = new Uint8Array(layout.attributesBytes);
  putAttributes(layout, new DataView(bytes.buffer), attributes, cacheSeconds);
  return bytes;
}

/** The answer "no such name", which may be kept for some time as well. */
export function encodeAbsence(layout: TreeLayout, cacheSeconds: number): Uint8Array {
  const bytes = new Uint8Array(layout.attributesBytes);
  new DataView(bytes.buffer).setUint32(layout.cacheMs, cacheMsOf(cacheSeconds), true);
  return bytes;
}

/** @throws CovaultError `E_CORRUPT` for a name that no directory can have. */
export function encodeItems(layout: TreeLayout, items: readonly SentItem[]): Uint8Array {
  const lengths = items.map(({ item }) => align(layout.attributesBytes + item.name.byteLength));
  const bytes = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0));
  let position = 0;
  items.forEach((sent, index) => {
    const length = lengths[index] as number;
    putItem(layout, bytes.subarray(position, position + length), sent);
    position += length;
  });
  return bytes;
}

/** Names, each with a terminating zero. */
export function encodeXattrNames(xattrs: readonly Xattr[]): Uint8Array {
  return Buffer.concat(xattrs.flatMap(({ name }) => [name, terminator]));
}

const terminator = new Uint8Array(1);

function putItem(
  layout: TreeLayout,
  bytes: Uint8Array,
  { item, attributes, cacheSeconds, nextOffset }: SentItem,
): void {
  const { name } = item;
  if (name.byteLength === 0 || name.byteLength > limits.nameBytesMax || name.includes(0) || name.includes(0x2f)) {
    throw new CovaultError('E_CORRUPT', `not a file name: ${JSON.stringify(Buffer.from(name).toString('latin1'))}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (attributes) putAttributes(layout, view, attributes, cacheSeconds);
  view.setBigUint64(layout.node, item.node, true);
  view.setUint32(layout.mode, item.mode, true);
  view.setUint32(layout.nameBytes, name.byteLength, true);
  view.setBigUint64(layout.directoryOffset, BigInt(nextOffset), true);
  bytes.set(name, layout.attributesBytes);
}

function putAttributes(layout: TreeLayout, view: DataView, attributes: NodeAttributes, cacheSeconds: number): void {
  view.setBigUint64(layout.node, attributes.node, true);
  view.setBigUint64(layout.size, BigInt(attributes.size), true);
  view.setBigUint64(layout.blocks, BigInt(attributes.blocks), true);
  view.setBigInt64(layout.atimeNs, attributes.atimeNs, true);
  view.setBigInt64(layout.mtimeNs, attributes.mtimeNs, true);
  view.setBigInt64(layout.ctimeNs, attributes.ctimeNs, true);
  view.setBigUint64(layout.rdev, attributes.rdev, true);
  view.setUint32(layout.mode, attributes.mode, true);
  // A count of 0 would say that the attributes are not known.
  view.setUint32(layout.nlink, Math.max(attributes.nlink, 1), true);
  view.setUint32(layout.uid, attributes.uid, true);
  view.setUint32(layout.gid, attributes.gid, true);
  view.setUint32(layout.cacheMs, cacheMsOf(cacheSeconds), true);
}

function cacheMsOf(seconds: number): number {
  return Math.max(0, Math.min(forEverMs, Math.floor(seconds * msPerSecond)));
}

function align(bytes: number): number {
  return Math.ceil(bytes / 8) * 8;
}
