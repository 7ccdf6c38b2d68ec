/**
 * Compares two directories byte for byte and attribute by attribute and tells every difference.
 *
 * Either may be a mount, but not one that this process serves: it would wait for itself. Symlinks are compared, never
 * followed. Neither side may change meanwhile.
 */
import { type BigIntStats, constants } from 'node:fs';
import { lstat, open, readdir, readlink } from 'node:fs/promises';
import { CovaultError, systemErrorCode } from '../core/errors.ts';
import { compareContents } from './compare-contents.ts';
import { compareXattrs } from './compare-xattrs.ts';
import { DirectoryHandles, entryPath, type Place, pathOf } from './directory-handles.ts';
import { forEachBounded } from './for-each-bounded.ts';
import { LinkGroups } from './link-groups.ts';

/** What two entries can differ in. */
export type Aspect =
  | 'presence' // it exists on one side only
  | 'kind'
  | 'mode'
  | 'uid'
  | 'gid'
  | 'mtime'
  | 'size'
  | 'content'
  | 'target' // of a symlink
  | 'rdev' // of a device node
  | 'xattrs' // access control lists included
  | 'links' // names that are one file on one side are not on the other
  | 'nlink' // names of the file, also those outside the directories compared
  | 'unreadable'; // one side could not be read: not compared

export interface Difference {
  /** Path below the two directories, "/" between names; empty for the directories themselves. */
  path: Uint8Array;
  aspect: Aspect;
  /** What is on either side, for people. */
  a: string;
  b: string;
}

export interface Comparison {
  identical: boolean;
  /** The first ones found, in no particular order. */
  differences: Difference[];
  differenceCount: number;
  /** Pairs of entries compared, the two directories included. */
  entries: number;
  /** Of those, regular files. */
  files: number;
  /** Bytes of content compared. */
  bytes: number;
}

export interface CompareOptions {
  /** Aspects that may differ; they are not even read. */
  ignore?: readonly Aspect[];
  /** Names of extended attributes that may differ, such as "security.selinux". */
  ignoreXattrs?: readonly string[];
  /** Differences listed; all are counted. Default 100. */
  differencesMax?: number;
  signal?: AbortSignal;
  onProgress?: (progress: { entries: number; bytes: number }) => void;
}

/** Pairs compared at one time within a directory. */
const pairsAtOnce = 8;

interface Pair {
  a: BigIntStats;
  b: BigIntStats;
  /** Of the entry: a path that ends in its name and must not be followed. */
  pathA: Buffer;
  pathB: Buffer;
  place: Place;
}

/** @throws CovaultError `E_NOT_FOUND` if one of them is no directory, `E_INTERRUPTED` when aborted. */
export async function compareTrees(a: string, b: string, options: CompareOptions = {}): Promise<Comparison> {
  const walk = new ComparingWalk(options);
  const handles: DirectoryHandles[] = [];
  try {
    for (const path of [a, b]) handles.push(await openTop(path));
    const [handlesA, handlesB] = handles as [DirectoryHandles, DirectoryHandles];
    return await walk.run(handlesA, handlesB);
  } finally {
    for (const opened of handles) await opened.close();
  }
}

async function openTop(path: string): Promise<DirectoryHandles> {
  try {
    return new DirectoryHandles(await open(path, constants.O_RDONLY | constants.O_DIRECTORY));
  } catch (cause) {
    throw new CovaultError('E_NOT_FOUND', `${path} is no directory that can be read`, { cause });
  }
}

class ComparingWalk {
  readonly #options: CompareOptions;
  readonly #ignored: ReadonlySet<Aspect>;
  readonly #links = new LinkGroups();
  readonly #result: Comparison = {
    identical: true,
    differences: [],
    differenceCount: 0,
    entries: 0,
    files: 0,
    bytes: 0,
  };

  constructor(options: CompareOptions) {
    this.#options = options;
    this.#ignored = new Set(options.ignore ?? []);
  }

  async run(handlesA: DirectoryHandles, handlesB: DirectoryHandles): Promise<Comparison> {
    await handlesA.use(handlesA.top, (fdA) =>
      handlesB.use(handlesB.top, async (fdB) => {
        const [pathA, pathB] = [entryPath(fdA, Buffer.from('.')), entryPath(fdB, Buffer.from('.'))];
        await this.#comparePair(pathA, pathB, handlesA.top);
      }),
    );
    await this.#compareDirectories([handlesA, handlesA.top], [handlesB, handlesB.top]);
    return this.#result;
  }

  async #compareDirectories(a: [DirectoryHandles, Place], b: [DirectoryHandles, Place]): Promise<void> {
    const [handlesA, placeA] = a;
    const [handlesB, placeB] = b;
    const below: Uint8Array[] = [];
    await this.#unlessUnreadable(placeA, () =>
      handlesA.use(placeA, (fdA) =>
        handlesB.use(placeB, async (fdB) => {
          const both = this.#commonNames(placeA, await namesIn(fdA), await namesIn(fdB));
          await forEachBounded(both, pairsAtOnce, async (name) => {
            const place = { parent: placeA, name };
            const isDirectory = await this.#unlessUnreadable(place, () =>
              this.#comparePair(entryPath(fdA, name), entryPath(fdB, name), place),
            );
            if (isDirectory === true) below.push(name);
          });
        }),
      ),
    );
    for (const name of below) {
      await this.#compareDirectories([handlesA, { parent: placeA, name }], [handlesB, { parent: placeB, name }]);
    }
  }

  /** Compares what stands at two paths; whether both are directories. */
  async #comparePair(pathA: Buffer, pathB: Buffer, place: Place): Promise<boolean> {
    this.#throwIfStopped();
    const [a, b] = await Promise.all([lstat(pathA, { bigint: true }), lstat(pathB, { bigint: true })]);
    const pair = { a, b, pathA, pathB, place };
    this.#result.entries += 1;
    if (kindOf(a) !== kindOf(b)) {
      this.#differ(place, 'kind', kindOf(a), kindOf(b));
      return false;
    }
    this.#compareAttributes(pair);
    if (!this.#ignored.has('xattrs')) this.#compareXattrs(pair);
    if (a.isFile()) await this.#compareFiles(pair);
    if (a.isSymbolicLink() && !this.#ignored.has('target')) await this.#compareTargets(pair);
    this.#options.onProgress?.({ entries: this.#result.entries, bytes: this.#result.bytes });
    return a.isDirectory();
  }

  #compareAttributes({ a, b, place }: Pair): void {
    const compare = (aspect: Aspect, ofA: unknown, ofB: unknown) => {
      if (ofA !== ofB) this.#differ(place, aspect, String(ofA), String(ofB));
    };
    compare('mode', octal(a), octal(b));
    compare('uid', a.uid, b.uid);
    compare('gid', a.gid, b.gid);
    compare('mtime', a.mtimeNs, b.mtimeNs);
    if (a.isDirectory()) return;
    if (a.isFile()) compare('size', a.size, b.size);
    if (a.isCharacterDevice() || a.isBlockDevice()) compare('rdev', a.rdev, b.rdev);
    compare('nlink', a.nlink, b.nlink);
    const other = this.#links.add(`${a.dev}:${a.ino}`, `${b.dev}:${b.ino}`, a.nlink > 1n || b.nlink > 1n, place);
    if (other !== undefined) {
      const text = JSON.stringify(pathOf(other.place).toString());
      const [joined, apart] = [`is one file with ${text}`, `is another file than ${text}`];
      this.#differ(
        place,
        'links',
        ...(other.joinedIn === 'a' ? ([joined, apart] as const) : ([apart, joined] as const)),
      );
    }
  }

  #compareXattrs({ pathA, pathB, place }: Pair): void {
    for (const { a, b } of compareXattrs(pathA, pathB, this.#options.ignoreXattrs ?? [])) {
      this.#differ(place, 'xattrs', a, b);
    }
  }

  async #compareFiles({ a, b, pathA, pathB, place }: Pair): Promise<void> {
    this.#result.files += 1;
    if (this.#ignored.has('content') || a.size !== b.size) return;
    const { signal } = this.#options;
    const { bytes, difference } = await compareContents(pathA, pathB, { size: Number(a.size), signal });
    this.#result.bytes += bytes;
    if (difference !== undefined) this.#differ(place, 'content', difference.a, difference.b);
  }

  async #compareTargets({ pathA, pathB, place }: Pair): Promise<void> {
    const [a, b] = await Promise.all([readlink(pathA, 'buffer'), readlink(pathB, 'buffer')]);
    if (!a.equals(b)) this.#differ(place, 'target', a.toString(), b.toString());
  }

  /** The names that both sides have; the others are differences. */
  #commonNames(parent: Place, a: readonly Buffer[], b: readonly Buffer[]): Buffer[] {
    const [ofA, ofB] = [new Set(a.map(binary)), new Set(b.map(binary))];
    for (const name of a)
      if (!ofB.has(binary(name))) this.#differ({ parent, name }, 'presence', 'exists', 'is missing');
    for (const name of b)
      if (!ofA.has(binary(name))) this.#differ({ parent, name }, 'presence', 'is missing', 'exists');
    return a.filter((name) => ofB.has(binary(name)));
  }

  /** What the operating system refuses becomes a difference; anything else is thrown. */
  async #unlessUnreadable<T>(place: Place, act: () => Promise<T>): Promise<T | undefined> {
    try {
      return await act();
    } catch (error) {
      const code = systemErrorCode(error);
      if (code === undefined || !(error instanceof Error)) throw error;
      this.#differ(place, 'unreadable', error.message, error.message);
      return undefined;
    }
  }

  #differ(place: Place, aspect: Aspect, a: string, b: string): void {
    if (this.#ignored.has(aspect)) return;
    this.#result.identical = false;
    this.#result.differenceCount += 1;
    if (this.#result.differences.length >= (this.#options.differencesMax ?? 100)) return;
    this.#result.differences.push({ path: pathOf(place), aspect, a, b });
  }

  #throwIfStopped(): void {
    if (this.#options.signal?.aborted) throw new CovaultError('E_INTERRUPTED', 'the comparison was stopped');
  }
}

function namesIn(fd: number): Promise<Buffer[]> {
  return readdir(entryPath(fd, Buffer.from('.')), { encoding: 'buffer' });
}

function binary(name: Buffer): string {
  return name.toString('latin1');
}

function octal(stats: BigIntStats): string {
  return (stats.mode & 0o7777n).toString(8).padStart(4, '0');
}

function kindOf(stats: BigIntStats): string {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  if (stats.isSymbolicLink()) return 'symlink';
  if (stats.isFIFO()) return 'fifo';
  if (stats.isSocket()) return 'socket';
  return stats.isBlockDevice() ? 'block' : 'char';
}
