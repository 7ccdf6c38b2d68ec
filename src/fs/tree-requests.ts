/**
 * Answers the requests of a read-only mount from a tree: each on its own, so that a slow one holds up no other. What
 * the tree throws becomes an errno (`errno.ts`).
 */
import { constants } from 'node:os';
import type { TreeLayout, TreeOperation, TreeRequest } from './addon.ts';
import { errnoOf } from './errno.ts';
import { encodeAbsence, encodeAttributes, encodeItems, encodeXattrNames, type SentItem } from './tree-answers.ts';
import type { DirectoryItem, ReadOnlyTree } from './tree-session.ts';

/** Sends one answer: an errno, or 0 with a payload. */
export type SendAnswer = (id: number, errno: number, payload?: Uint8Array) => void;

/** Open directories whose listing is kept; others are listed again when they are read on. */
const listingsMax = 1024;

/** Bytes that an entry takes in the kernel's answer at least, with a name of one to eight bytes. */
const plainEntryBytes = 32;
const plusEntryBytes = 160;

const fileTypeDirectory = 0o040000;

export class TreeRequests {
  readonly #tree: ReadOnlyTree;
  readonly #layout: TreeLayout;
  readonly #send: SendAnswer;
  readonly #operations = new Map<number, TreeOperation>();
  /** By handle, in order of use. A directory is listed once for each opening, so that reading on misses nothing. */
  readonly #listings = new Map<number, Promise<DirectoryItem[]>>();

  constructor(tree: ReadOnlyTree, layout: TreeLayout, send: SendAnswer) {
    this.#tree = tree;
    this.#layout = layout;
    this.#send = send;
    for (const [name, number] of Object.entries(layout.operations)) {
      this.#operations.set(number, name as TreeOperation);
    }
  }

  /** Never rejects. */
  async answer(request: TreeRequest): Promise<void> {
    const operation = this.#operations.get(request.operation);
    if (operation === 'releaseDirectory') {
      this.#listings.delete(request.handle);
      return;
    }
    try {
      if (operation === undefined) this.#send(request.id, constants.errno.ENOSYS);
      else this.#send(request.id, 0, await this.#payload(operation, request));
    } catch (error) {
      this.#send(request.id, errnoOf(error));
    }
  }

  async #payload(operation: Exclude<TreeOperation, 'releaseDirectory'>, request: TreeRequest): Promise<Uint8Array> {
    const { node, name, offset, size } = request;
    switch (operation) {
      case 'lookup': {
        const found = await this.#tree.lookup(node, name);
        if (found === undefined) return encodeAbsence(this.#layout, this.#tree.cacheSeconds(node));
        return encodeAttributes(this.#layout, found, this.#tree.cacheSeconds(found.node));
      }
      case 'attributes':
        return encodeAttributes(this.#layout, await this.#tree.attributes(node), this.#tree.cacheSeconds(node));
      case 'readDirectory':
      case 'readDirectoryPlus':
        return this.#readDirectory(request, operation === 'readDirectoryPlus');
      case 'readLink':
        return this.#tree.readLink(node);
      case 'read':
        return this.#tree.read(node, offset, size);
      case 'getXattr':
        return this.#xattr(node, name);
      case 'listXattrs':
        return encodeXattrNames(await this.#tree.listXattrs(node));
    }
  }

  async #xattr(node: bigint, name: Uint8Array): Promise<Uint8Array> {
    const xattrs = await this.#tree.listXattrs(node);
    const found = xattrs.find((xattr) => Buffer.compare(xattr.name, name) === 0);
    if (!found) throw Object.assign(new Error('no such attribute'), { code: 'ENODATA' });
    return found.value;
  }

  async #readDirectory({ node, handle, offset, size }: TreeRequest, withAttributes: boolean): Promise<Uint8Array> {
    const items = await this.#listing(node, handle, offset === 0);
    const count = Math.ceil(size / (withAttributes ? plusEntryBytes : plainEntryBytes));
    const window = items.slice(offset, offset + count);
    const sent = await Promise.all(
      window.map(async (item, index): Promise<SentItem> => {
        const isDots = offset + index < dotsCount;
        return {
          item,
          attributes: withAttributes && !isDots ? await this.#attributesOrNot(item.node) : undefined,
          cacheSeconds: this.#tree.cacheSeconds(item.node),
          nextOffset: offset + index + 1,
        };
      }),
    );
    return encodeItems(this.#layout, sent);
  }

  /** A damaged entry must not hide its neighbours: whoever looks at it gets the error. */
  #attributesOrNot(node: bigint) {
    return this.#tree.attributes(node).catch(() => undefined);
  }

  #listing(node: bigint, handle: number, fromStart: boolean): Promise<DirectoryItem[]> {
    const known = this.#listings.get(handle);
    this.#listings.delete(handle);
    const listing = known && !fromStart ? known : this.#listAfresh(node);
    this.#listings.set(handle, listing);
    listing.catch(() => this.#listings.delete(handle));
    const [oldest] = this.#listings.keys();
    if (oldest !== undefined && this.#listings.size > listingsMax) this.#listings.delete(oldest);
    return listing;
  }

  async #listAfresh(node: bigint): Promise<DirectoryItem[]> {
    const dots = ['.', '..'].map((name) => ({ node, name: Buffer.from(name), mode: fileTypeDirectory }));
    return [...dots, ...(await this.#tree.readDirectory(node))];
  }
}

/** "." and "..", whose attributes the kernel does not want. */
const dotsCount = 2;
