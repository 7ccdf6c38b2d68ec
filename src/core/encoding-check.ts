/**
 * A walk over msgpack bytes that makes nothing, so that what comes from a peer or a disk can be refused before memory
 * is taken on its word: a few bytes can claim lists of billions of items, nested without end.
 *
 * The format is that of the MessagePack specification (github.com/msgpack/msgpack, spec.md).
 */

/** Levels of lists and maps within each other: the deepest record of ours has six. */
export const encodingDepthMax = 32;

/**
 * Why `bytes` are not one whole value of the kinds that records use (nil, booleans, numbers, texts, bytes, lists,
 * maps, and the one extension that stands for undefined), or undefined if they are. Takes time in proportion to the
 * bytes and next to no memory. A value that passes has no more items than bytes.
 */
export function encodingFault(bytes: Uint8Array): string | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  /** Items still to come in each open list or map, outermost first. */
  const open: number[] = [];
  /** Items still to come in all. */
  let owed = 1;
  let at = 0;
  while (owed > 0) {
    if (at >= bytes.byteLength) return 'it is cut short';
    const item = readItem(view, at);
    if (item === undefined) return `there is no valid item at byte ${at}`;
    at += item.bytes;
    owed += item.items - 1;
    if (at > bytes.byteLength || owed > bytes.byteLength - at) return 'it is cut short';
    if (open.length > 0) open[open.length - 1] = (open.at(-1) ?? 0) - 1;
    if (item.items > 0) open.push(item.items);
    if (open.length > encodingDepthMax) return `it is nested deeper than ${encodingDepthMax} levels`;
    while (open.at(-1) === 0) open.pop();
  }
  return at === bytes.byteLength ? undefined : 'bytes follow its end';
}

/** Bytes that an item takes without the items within it, and how many those are. */
interface Item {
  bytes: number;
  items: number;
}

function readItem(view: DataView, at: number): Item | undefined {
  const type = view.getUint8(at);
  if (type <= 0x7f || type >= 0xe0) return { bytes: 1, items: 0 };
  if (type <= 0x8f) return { bytes: 1, items: 2 * (type & 0x0f) };
  if (type <= 0x9f) return { bytes: 1, items: type & 0x0f };
  if (type <= 0xbf) return { bytes: 1 + (type & 0x1f), items: 0 };
  if (type >= 0xca && type <= 0xd3) return { bytes: fixedBytes[type - 0xca] ?? 1, items: 0 };
  switch (type) {
    case 0xc0:
    case 0xc2:
    case 0xc3:
      return { bytes: 1, items: 0 };
    case 0xc4:
    case 0xd9:
      return withLength(view, at, 1, 1, 0);
    case 0xc5:
    case 0xda:
      return withLength(view, at, 2, 1, 0);
    case 0xc6:
    case 0xdb:
      return withLength(view, at, 4, 1, 0);
    case 0xdc:
      return withLength(view, at, 2, 0, 1);
    case 0xdd:
      return withLength(view, at, 4, 0, 1);
    case 0xde:
      return withLength(view, at, 2, 0, 2);
    case 0xdf:
      return withLength(view, at, 4, 0, 2);
    case 0xd4:
      return at + 1 < view.byteLength && view.getUint8(at + 1) === 0 ? { bytes: 3, items: 0 } : undefined;
    default:
      return undefined;
  }
}

/** float 32, float 64, uint 8 to 64, int 8 to 64. */
const fixedBytes = [5, 9, 2, 3, 5, 9, 2, 3, 5, 9];

/** An item whose length stands in the `lengthBytes` after its type. */
function withLength(
  view: DataView,
  at: number,
  lengthBytes: 1 | 2 | 4,
  bytesEach: 0 | 1,
  itemsEach: 0 | 1 | 2,
): Item | undefined {
  if (at + 1 + lengthBytes > view.byteLength) return undefined;
  const length =
    lengthBytes === 1 ? view.getUint8(at + 1) : lengthBytes === 2 ? view.getUint16(at + 1) : view.getUint32(at + 1);
  return { bytes: 1 + lengthBytes + bytesEach * length, items: itemsEach * length };
}
