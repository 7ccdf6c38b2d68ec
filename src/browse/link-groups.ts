/** Which names are one file, on two sides at once: memory for each linked file, none for others. */
import type { Place } from './directory-handles.ts';

/** An earlier name that is the same file on one side and another file on the other. */
export interface LinkMismatch {
  place: Place;
  joinedIn: 'a' | 'b';
}

export class LinkGroups {
  readonly #ofA = new Map<string, { partner: string; place: Place }>();
  readonly #ofB = new Map<string, { partner: string; place: Place }>();

  /**
   * Notes that `place` is the file `a` on one side and `b` on the other (anything that identifies a file).
   *
   * @param isLinked whether it has several names on either side; others need no memory.
   * @returns a name met before that belongs to the same file on one side only.
   */
  add(a: string, b: string, isLinked: boolean, place: Place): LinkMismatch | undefined {
    if (!isLinked) return undefined;
    const [before, beforeB] = [this.#ofA.get(a), this.#ofB.get(b)];
    if (before === undefined) this.#ofA.set(a, { partner: b, place });
    if (beforeB === undefined) this.#ofB.set(b, { partner: a, place });
    if (before !== undefined && before.partner !== b) return { place: before.place, joinedIn: 'a' };
    if (beforeB !== undefined && beforeB.partner !== a) return { place: beforeB.place, joinedIn: 'b' };
    return undefined;
  }
}
