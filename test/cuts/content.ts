/**
 * What a file may contain at a moment when some of what was written may still be on its way: the latest content, and for
 * each page the older values that it may still have. Values are never changed, so that copies cost nothing.
 */
import { pageBytes } from './operation.ts';

export interface Content {
  /** With everything written so far. */
  readonly data: Buffer;
  /** By page number: whole pages, zeros behind the end of the file. */
  readonly older: ReadonlyMap<number, readonly Buffer[]>;
  /** Other sizes that it may still have. */
  readonly sizes: readonly number[];
}

export function settledContent(data: Buffer): Content {
  return { data, older: new Map(), sizes: [] };
}

export const emptyContent = settledContent(Buffer.alloc(0));

function pageOf(data: Buffer, page: number): Buffer {
  const bytes = Buffer.alloc(pageBytes);
  data.subarray(page * pageBytes, (page + 1) * pageBytes).copy(bytes);
  return bytes;
}

function overlaid(data: Buffer, offset: number, bytes: Buffer): Buffer {
  const result = Buffer.alloc(Math.max(data.byteLength, offset + bytes.byteLength));
  data.copy(result);
  bytes.copy(result, offset);
  return result;
}

/** The pages' older values, each changed by `change`; pages from `pagesEnd` on are gone. */
function changeOlder(
  content: Content,
  change: (page: Buffer, start: number) => Buffer,
  pagesEnd = Number.POSITIVE_INFINITY,
): Map<number, Buffer[]> {
  const older = new Map<number, Buffer[]>();
  for (const [page, values] of content.older) {
    if (page < pagesEnd)
      older.set(
        page,
        values.map((value) => change(value, page * pageBytes)),
      );
  }
  return older;
}

/** Bytes that are in at once and as a whole. */
export function written(content: Content, offset: number, bytes: Buffer): Content {
  const end = offset + bytes.byteLength;
  const older = changeOlder(content, (page, start) => {
    if (start >= end || start + pageBytes <= offset) return page;
    const result = Buffer.from(page);
    bytes.subarray(Math.max(0, start - offset)).copy(result, Math.max(0, offset - start));
    return result;
  });
  const sizes = content.sizes.map((size) => Math.max(size, end));
  return { data: overlaid(content.data, offset, bytes), older, sizes };
}

/** Bytes that come in later, page by page in any order, unless something asks for them. */
export function writtenLater(content: Content, offset: number, bytes: Buffer): Content {
  const end = offset + bytes.byteLength;
  const older = new Map(content.older);
  for (let page = Math.floor(offset / pageBytes); page * pageBytes < end; page++) {
    older.set(page, [...(older.get(page) ?? []), pageOf(content.data, page)]);
  }
  const sizes = [...content.sizes];
  const size = content.data.byteLength;
  if (end > size) {
    sizes.push(size);
    // What is sent of a file that grows ends with a page, or with the file as it was at that time.
    for (let at = (Math.floor(size / pageBytes) + 1) * pageBytes; at < end; at += pageBytes) sizes.push(at);
  }
  return { data: overlaid(content.data, offset, bytes), older, sizes };
}

export function resized(content: Content, size: number): Content {
  const data = Buffer.alloc(size);
  content.data.copy(data);
  const cut = (page: Buffer, start: number) =>
    start + pageBytes <= size ? page : pageOf(page.subarray(0, size - start), 0);
  return { data, older: changeOlder(content, cut, Math.ceil(size / pageBytes)), sizes: [] };
}

/** Makes the file at least so long. */
export function grown(content: Content, size: number): Content {
  if (content.data.byteLength < size) return { ...resized(content, size), older: content.older };
  return { ...content, sizes: content.sizes.map((other) => Math.max(other, size)) };
}

/** A range as zeros; the size stays. */
export function punched(content: Content, offset: number, length: number): Content {
  const end = offset + length;
  const data = Buffer.from(content.data);
  data.fill(0, Math.min(offset, data.byteLength), Math.min(end, data.byteLength));
  const older = changeOlder(content, (page, start) => {
    const result = Buffer.from(page);
    const [from, to] = [Math.max(0, offset - start), Math.min(pageBytes, end - start)];
    if (from < to) result.fill(0, from, to);
    return result;
  });
  return { data, older, sizes: content.sizes };
}

/** Why `found` is none of the contents that `content` allows; undefined if it is one of them. */
export function contentMismatch(content: Content, found: Buffer): string | undefined {
  const { data, older, sizes } = content;
  const size = found.byteLength;
  if (size === data.byteLength && found.equals(data)) return undefined;
  if (size !== data.byteLength && !sizes.includes(size)) {
    return `${size} bytes instead of ${[data.byteLength, ...sizes].join(' or ')}`;
  }
  for (let page = 0; page * pageBytes < size; page++) {
    const bytes = found.subarray(page * pageBytes, (page + 1) * pageBytes);
    const values = [pageOf(data, page), ...(older.get(page) ?? [])].map((value) => value.subarray(0, bytes.byteLength));
    if (values.some((value) => value.equals(bytes))) continue;
    // While a page is copied out, what is written into it is in or not, byte by byte.
    const at = bytes.findIndex((byte, position) => values.every((value) => value[position] !== byte));
    if (values.length === 1 || at >= 0) return `other bytes at ${page * pageBytes + differsAt(bytes, values)}`;
  }
  return undefined;
}

function differsAt(bytes: Buffer, values: readonly Buffer[]): number {
  const at = bytes.findIndex((byte, position) => values.every((value) => value[position] !== byte));
  return Math.max(0, at);
}
