/**
 * Directories below a given one, opened name by name so that no symlink is ever followed and no path is too long.
 *
 * What stands in a directory is reached through `/proc/self/fd`, which leaves one name to resolve: with flags or
 * functions that do not follow a final symlink, nothing outside can be reached, whatever others do meanwhile. A
 * bounded number of directories is kept open.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

/** A directory by its way down from the top, or an entry by that of its directory and its name. */
export interface Place {
  /** Undefined for the top itself. */
  parent: Place | undefined;
  /** Empty for the top itself. */
  name: Uint8Array;
}

interface OpenDirectory {
  handle: Promise<FileHandle>;
  users: number;
}

const openFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

export class DirectoryHandles {
  readonly top: Place = { parent: undefined, name: new Uint8Array(0) };
  readonly #openMax: number;
  /** In order of use. */
  readonly #open = new Map<Place, OpenDirectory>();

  /** @param top an open directory; closed by `close`. */
  constructor(top: FileHandle, options: { openMax?: number } = {}) {
    this.#openMax = options.openMax ?? 128;
    this.#open.set(this.top, { handle: Promise.resolve(top), users: 1 });
  }

  /**
   * Calls `act` with a descriptor of the directory, valid until `act` is done.
   *
   * @throws the operating system's error, `ELOOP` or `ENOTDIR` if something else stands there.
   */
  async use<T>(place: Place, act: (fd: number) => T | Promise<T>): Promise<T> {
    const directory = this.#acquire(place);
    try {
      return await act((await directory.handle).fd);
    } finally {
      directory.users -= 1;
      await this.#closeIdle();
    }
  }

  /** Closes everything, the top included. Nothing may be in use. */
  async close(): Promise<void> {
    const all = [...this.#open.values()];
    this.#open.clear();
    await Promise.allSettled(all.map(async ({ handle }) => (await handle).close()));
  }

  #acquire(place: Place): OpenDirectory {
    const known = this.#open.get(place);
    if (known !== undefined) {
      this.#open.delete(place);
      this.#open.set(place, known);
      known.users += 1;
      return known;
    }
    const directory = { handle: this.#openPlace(place), users: 1 };
    this.#open.set(place, directory);
    directory.handle.catch(() => this.#open.delete(place));
    return directory;
  }

  #openPlace({ parent, name }: Place): Promise<FileHandle> {
    return this.use(parent ?? this.top, (fd) => open(entryPath(fd, name), openFlags));
  }

  async #closeIdle(): Promise<void> {
    for (const [place, { handle, users }] of this.#open) {
      if (this.#open.size <= this.#openMax) return;
      if (users > 0) continue;
      this.#open.delete(place);
      await (await handle).close();
    }
  }
}

/** The path of an entry of an open directory: for calls that do not follow a final symlink. */
export function entryPath(directoryFd: number, name: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`/proc/self/fd/${directoryFd}/`), name]);
}

/** The path of a place from the top, "/" between names. */
export function pathOf(place: Place): Buffer {
  const names: Uint8Array[] = [];
  for (let at: Place | undefined = place; at?.parent !== undefined; at = at.parent) names.push(at.name);
  return Buffer.from(Buffer.concat(names.reverse().flatMap((name) => [slash, name])).subarray(1));
}

const slash = Buffer.from('/');
