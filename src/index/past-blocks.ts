/** Blocks of an open cut, read from the files as they were then, verified. */
import { type Digest, digestsEqual } from '../core/digest.ts';
import { type EpochFile, openInEpoch } from '../fs/epoch.ts';
import { type Location, unpackLocation } from './layout.ts';
import { pathInView } from './names.ts';
import type { IndexState } from './state.ts';
import type { View } from './tables.ts';

/** Files kept open between two reads. */
const openFilesMax = 32;

/** Locations of one block that are tried. */
const locationsMax = 4;

export class PastBlocks {
  readonly #state: IndexState;
  readonly #view: View;
  readonly #epoch: number;
  /** The least recently used first. Reads under way keep a file open by themselves. */
  readonly #files = new Map<bigint, EpochFile>();
  #isClosed = false;

  /** @param view belongs to the caller, who closes this before it. */
  constructor(state: IndexState, view: View, epoch: number) {
    this.#state = state;
    this.#view = view;
    this.#epoch = epoch;
  }

  async readBlock(digest: Digest): Promise<Uint8Array | undefined> {
    for (const { inode, offset, length } of this.#locations(digest)) {
      if (this.#isClosed) return undefined;
      try {
        const bytes = await this.#open(inode)?.readLater(offset, length);
        if (bytes && digestsEqual(this.#state.digester.digest(bytes), digest)) return bytes;
      } catch {
        // The epoch has failed, or the file cannot be read: another place may do.
      }
    }
    return undefined;
  }

  close(): void {
    this.#isClosed = true;
    for (const file of this.#files.values()) file.close();
    this.#files.clear();
  }

  #locations(digest: Digest): Location[] {
    const locations: Location[] = [];
    if (this.#isClosed) return locations;
    for (const value of this.#state.tables.blocks.values(digest, this.#view)) {
      if (locations.push(unpackLocation(value)) === locationsMax) break;
    }
    return locations;
  }

  #open(inode: bigint): EpochFile | undefined {
    let file = this.#files.get(inode);
    this.#files.delete(inode);
    if (!file) {
      const path = pathInView(this.#state, this.#view, inode);
      if (!path) return undefined;
      file = openInEpoch(this.#epoch, path, inode);
    }
    this.#files.set(inode, file);
    for (const [oldest, each] of this.#files) {
      if (this.#files.size <= openFilesMax) break;
      this.#files.delete(oldest);
      each.close();
    }
    return file;
  }
}
