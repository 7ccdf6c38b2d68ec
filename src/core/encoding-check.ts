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
  const end = bytes.byteLength;
  /** Items still to come in each open list or map, outermost first; the value itself is in a list of one. */
  const open = new Float64Array(encodingDepthMax + 2);
  let depth = 0;
  open[0] = 1;
  /** Items still to come in all. */
  let owed = 1;
  let at = 0;
  while (owed > 0) {
    if (owed > end - at) return 'it is cut short';
    const type = bytes[at] as number;
    const form = forms[type];
    if (form === undefined || (type === undefinedType && bytes[at + 1] !== 0))
      return `there is no valid item at byte ${at}`;
    const count = form.lengthBytes === 0 ? form.count : bigEndian(bytes, at + 1, form.lengthBytes);
    const items = count * form.itemsEach;
    at += 1 + form.lengthBytes + count * form.bytesEach;
    if (at > end) return 'it is cut short';
    owed += items - 1;
    open[depth] = (open[depth] as number) - 1;
    if (items > 0) {
      depth += 1;
      if (depth > encodingDepthMax) return `it is nested deeper than ${encodingDepthMax} levels`;
      open[depth] = items;
    }
    while (depth > 0 && open[depth] === 0) depth -= 1;
  }
  return at === end ? undefined : 'bytes follow its end';
}

/** How an item of one type goes on after its type byte. */
interface Form {
  /** Bytes of the big-endian number that is the count; 0 if the type itself says the count. */
  lengthBytes: number;
  count: number;
  /** Bytes, and items of their own, for each one counted. */
  bytesEach: number;
  itemsEach: number;
}

/** Extension of one byte; msgpackr writes undefined as one of type 0. */
const undefinedType = 0xd4;

/** The form of each of the 256 types; undefined for those that no record has. */
const forms: readonly (Form | undefined)[] = Array.from({ length: 256 }, (_, type) => formOf(type));

function formOf(type: number): Form | undefined {
  if (type <= 0x7f || type >= 0xe0) return payload(0);
  if (type <= 0x8f) return { lengthBytes: 0, count: type & 0x0f, bytesEach: 0, itemsEach: 2 };
  if (type <= 0x9f) return { lengthBytes: 0, count: type & 0x0f, bytesEach: 0, itemsEach: 1 };
  if (type <= 0xbf) return payload(type & 0x1f);
  if (type === 0xc0 || type === 0xc2 || type === 0xc3) return payload(0);
  if (type >= 0xc4 && type <= 0xc6) return counted(2 ** (type - 0xc4), 1, 0);
  if (type === 0xca) return payload(4);
  if (type === 0xcb) return payload(8);
  if (type >= 0xcc && type <= 0xcf) return payload(2 ** (type - 0xcc));
  if (type >= 0xd0 && type <= 0xd3) return payload(2 ** (type - 0xd0));
  if (type === undefinedType) return payload(2);
  if (type >= 0xd9 && type <= 0xdb) return counted(2 ** (type - 0xd9), 1, 0);
  if (type === 0xdc || type === 0xdd) return counted(2 ** (type - 0xdb), 0, 1);
  if (type === 0xde || type === 0xdf) return counted(2 ** (type - 0xdd), 0, 2);
  return undefined;
}

function payload(bytes: number): Form {
  return { lengthBytes: 0, count: bytes, bytesEach: 1, itemsEach: 0 };
}

function counted(lengthBytes: number, bytesEach: number, itemsEach: number): Form {
  return { lengthBytes, count: 0, bytesEach, itemsEach };
}

/** The number in `count` bytes; what is beyond the end counts as zero and is found out by its position. */
function bigEndian(bytes: Uint8Array, at: number, count: number): number {
  let number = 0;
  for (let i = at; i < at + count; i += 1) number = number * 256 + (bytes[i] ?? 0);
  return number;
}
