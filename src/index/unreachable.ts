/**
 * After the whole directory was listed: what nothing leads to from the root any more, because it was moved or removed while
 * nobody told, or an earlier run ended between two transactions.
 */
import { inodeKey, inodeOfKey } from './layout.ts';
import { dropPlace, placesOf } from './names.ts';
import type { IndexState } from './state.ts';

/** Inodes looked at between two pauses. */
const inodesPerPiece = 2048;

/**
 * Makes orphans of what is at the top of it; what is only below them goes when they are forgotten (`forget.ts`), and not
 * before, all at once: a directory that is only on its way from one name to another is then found with its names, or as one
 * that is not known. An inode of which one name is below them and another is not keeps that one.
 *
 * @returns how many inodes were found.
 */
export async function findUnreachable(state: IndexState, pause: () => Promise<void>): Promise<number> {
  const reach = new Reach(state);
  const circles = new Set<bigint>();
  let found = 0;
  let after: Uint8Array | undefined;
  for (;;) {
    const start = after === undefined ? inodeKey(0n) : Buffer.concat([after, Buffer.alloc(1)]);
    const keys = [...state.tables.inodes.keys({ start, limit: inodesPerPiece })];
    for (const key of keys) {
      const inode = inodeOfKey(key);
      const { isReachable, tops, circle } = reach.above(inode);
      for (const top of tops) state.orphans.add(top);
      if (circle !== undefined) circles.add(circle);
      if (isReachable) continue;
      // No listing has met it, so it is in doubt should it come back.
      state.strays.add(inode);
      state.isDoubtful = true;
      found++;
    }
    after = keys.at(-1);
    if (keys.length < inodesPerPiece) break;
    await pause();
  }
  for (const directory of circles) {
    await state.write(() => {
      for (const place of placesOf(state, directory)) dropPlace(state, directory, place);
    });
  }
  return found;
}

interface Above {
  isReachable: boolean;
  /** Directories without a name that are above it. */
  tops: bigint[];
  /** A directory below itself, if nothing else is above it. */
  circle: bigint | undefined;
}

/** Remembers directories only: grows with their number, not with that of the files. */
class Reach {
  readonly #state: IndexState;
  readonly #known: Map<bigint, boolean>;

  constructor(state: IndexState) {
    this.#state = state;
    this.#known = new Map([[state.root, true]]);
  }

  /** Follows all its names upwards; what is above directories that are known already was said then. */
  above(inode: bigint): Above {
    const known = this.#known.get(inode);
    if (known !== undefined) return { isReachable: known, tops: [], circle: undefined };
    const places = placesOf(this.#state, inode);
    if (places.length === 0) return { isReachable: false, tops: [inode], circle: undefined };
    const above: Above = { isReachable: false, tops: [], circle: undefined };
    for (const { parent } of places) {
      const climbed = this.#climb(parent);
      above.isReachable ||= climbed.isReachable;
      above.tops.push(...climbed.tops);
      above.circle ??= climbed.circle;
    }
    return above;
  }

  /** From a directory upwards; of several names that it should not have any that leads to the root will do. */
  #climb(directory: bigint): Above {
    const cameFrom = new Map<bigint, bigint | undefined>([[directory, undefined]]);
    const tops: bigint[] = [];
    for (const [at] of cameFrom) {
      if (this.#known.get(at) === true) {
        for (let each: bigint | undefined = at; each !== undefined; each = cameFrom.get(each))
          this.#known.set(each, true);
        return { isReachable: true, tops: [], circle: undefined };
      }
      if (this.#known.get(at) === false) continue;
      const places = placesOf(this.#state, at);
      if (places.length === 0) tops.push(at);
      for (const { parent } of places) if (!cameFrom.has(parent)) cameFrom.set(parent, at);
    }
    const isNew = [...cameFrom.keys()].every((each) => !this.#known.has(each));
    for (const each of cameFrom.keys()) this.#known.set(each, false);
    return {
      isReachable: false,
      tops,
      circle: isNew && tops.length === 0 ? directoryOnCircle(this.#state, directory) : undefined,
    };
  }
}

/** Above `directory` there are only directories with names: going up comes around. */
function directoryOnCircle(state: IndexState, directory: bigint): bigint {
  const seen = new Set<bigint>();
  let at = directory;
  while (!seen.has(at)) {
    seen.add(at);
    at = placesOf(state, at)[0]?.parent ?? at;
  }
  return at;
}
