/** A pack while it is being filled, in memory. */
import type { Digest } from '../core/digest.ts';
import { invariant } from '../core/errors.ts';
import { startChecksum } from './cipher.ts';
import { encodeHeader, headerBytes, newHeader } from './file-header.ts';
import type { StoreKeys } from './keys.ts';
import {
  type EntryKind,
  encodeTrailer,
  encryptEntry,
  type PackContents,
  type PackKind,
  type PackRow,
  packFileKind,
  packKey,
} from './pack-format.ts';

/** Something to be put into a pack. */
export interface NewEntry {
  digest: Digest;
  kind: EntryKind;
  /** Bytes before compression. */
  rawBytes: number;
  /** Whether `body` is compressed. */
  compressed: boolean;
  body: Uint8Array;
}

export interface FinishedPack {
  contents: PackContents;
  /** The file's bytes, in pieces. */
  chunks: readonly Uint8Array[];
}

/** An entry in a pack that may not have been written yet. */
export interface HeldEntry {
  /** Key of the pack. */
  key: Uint8Array;
  row: PackRow;
  stored: Uint8Array;
}

/** Owns the encrypted bytes of the entries added so far; single use: `finish` ends it. */
export class PackBuilder {
  readonly kind: PackKind;
  readonly #header;
  readonly #head: Uint8Array;
  readonly #key: Uint8Array;
  readonly #checksum = startChecksum();
  readonly #chunks: Uint8Array[] = [];
  readonly #rows: PackRow[] = [];
  #bytes = headerBytes;
  #finished = false;

  constructor(kind: PackKind, keys: StoreKeys) {
    this.kind = kind;
    this.#header = newHeader(packFileKind(kind), keys.storeId);
    this.#head = encodeHeader(this.#header);
    this.#key = packKey(keys, kind, this.#header.salt);
    this.#push(this.#head);
  }

  /** Bytes so far, without the trailer. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Encrypts and takes in one entry; `entry.body` is not kept. */
  add(entry: NewEntry): HeldEntry {
    invariant(!this.#finished, 'nothing is added to a finished pack');
    const { digest, kind, compressed, rawBytes } = entry;
    const place = { digest: new Uint8Array(digest), kind, compressed, rawBytes, offset: this.#bytes };
    const stored = encryptEntry(this.#key, place, entry.body);
    const row = { ...place, storedBytes: stored.byteLength };
    this.#rows.push(row);
    this.#bytes += stored.byteLength;
    this.#push(stored);
    return { key: this.#key, row, stored };
  }

  finish(): FinishedPack {
    invariant(!this.#finished, 'a pack is finished once');
    this.#finished = true;
    const trailer = encodeTrailer(this.#key, this.#head, this.#bytes, this.#rows);
    this.#bytes += trailer.byteLength;
    this.#push(trailer);
    const hash = this.#checksum.digest('hex');
    const { kind } = this;
    return {
      contents: { hash, kind, salt: this.#header.salt, bytes: this.#bytes, rows: this.#rows },
      chunks: this.#chunks,
    };
  }

  #push(chunk: Uint8Array): void {
    this.#checksum.update(chunk);
    this.#chunks.push(chunk);
  }
}
