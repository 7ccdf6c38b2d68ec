/** Fills packs of one kind and writes them in the background, a bounded number at once. */
import { type DigestKey, digestKey } from '../core/digest.ts';
import type { Backend } from './backend.ts';
import type { StoreKeys } from './keys.ts';
import { packName } from './layout.ts';
import { type HeldEntry, type NewEntry, PackBuilder } from './pack-builder.ts';
import type { EntryKind, PackContents, PackKind } from './pack-format.ts';

/** Packs being written at once, beside the one being filled. */
const writesMax = 2;

export interface PackQueueOptions {
  backend: Backend;
  keys: StoreKeys;
  kind: PackKind;
  /** Bytes from which a pack is full. */
  packBytes: number;
  /** Called when a pack is durable. */
  onWritten(contents: PackContents): void | Promise<void>;
}

/** Owns what was added until it is durable. The first failure ends it: every later call rejects with the same error. */
export class PackQueue {
  readonly #options: PackQueueOptions;
  #builder: PackBuilder | undefined;
  readonly #writes = new Set<Promise<void>>();
  /** Entries that are in memory only. */
  readonly #held = new Map<DigestKey, HeldEntry>();
  #failure: unknown;
  #failed = false;

  constructor(options: PackQueueOptions) {
    this.#options = options;
  }

  /** An entry that was added and is not yet durable. */
  held(kind: EntryKind, digest: Uint8Array): HeldEntry | undefined {
    return this.#held.get(heldKey(kind, digest));
  }

  /** Takes in one entry; its bytes are not kept. */
  add(entry: NewEntry): void {
    this.check();
    this.#builder ??= new PackBuilder(this.#options.kind, this.#options.keys);
    this.#held.set(heldKey(entry.kind, entry.digest), this.#builder.add(entry));
    if (this.#builder.bytes >= this.#options.packBytes) this.#close();
  }

  /** Resolves when not too many packs are being written. */
  async room(): Promise<void> {
    while (this.#writes.size > writesMax) await Promise.race(this.#writes);
    this.check();
  }

  /** Makes everything added so far durable. */
  async flush(): Promise<void> {
    this.#close();
    await Promise.all([...this.#writes]);
    this.check();
  }

  /** @throws the error that ended this queue, if any. */
  check(): void {
    if (this.#failed) throw this.#failure;
  }

  #close(): void {
    const builder = this.#builder;
    if (!builder || this.#failed) return;
    this.#builder = undefined;
    const write: Promise<void> = this.#write(builder)
      .catch((error: unknown) => {
        this.#failure ??= error;
        this.#failed = true;
      })
      .finally(() => this.#writes.delete(write));
    this.#writes.add(write);
  }

  async #write(builder: PackBuilder): Promise<void> {
    const { contents, chunks } = builder.finish();
    await this.#options.backend.write(packName(contents.hash), chunks);
    await this.#options.onWritten(contents);
    for (const row of contents.rows) this.#held.delete(heldKey(row.kind, row.digest));
  }
}

function heldKey(kind: EntryKind, digest: Uint8Array): string {
  return kind + digestKey(digest);
}
