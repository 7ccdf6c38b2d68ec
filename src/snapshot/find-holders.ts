/** Asks the repository who holds the needed blocks: whole files first, then runs of blocks. */
import type { Digest } from '../core/digest.ts';
import type { HolderLookup } from '../core/ports.ts';
import { HolderSets, nobody } from './holder-sets.ts';
import type { NeededGatherer } from './needed-blocks.ts';
import type { NeededBlocks } from './plan.ts';

/** Digests asked for at once. */
const lookupMax = 16_384;
/** With so many holders of a whole file nobody looks for holders of its parts. */
const enoughHolders = 3;

export interface FindHoldersOptions {
  /** Left out of all sets: the source, which is asked last anyway, and whoever is not to be asked. */
  leftOut: ReadonlySet<string>;
  signal?: AbortSignal;
  /** Told how many blocks are done. */
  onProgress?(blocks: number): void;
}

/** @throws CovaultError what the lookup throws. */
export async function findHolders(
  needed: NeededGatherer,
  holders: Pick<HolderLookup, 'holdersOf'>,
  options: FindHoldersOptions,
): Promise<NeededBlocks> {
  const sets = new HolderSets();
  const setOf = new Uint32Array(needed.count);
  const isKnown = new Uint8Array(needed.count);
  const intern = internerOf(sets, options.leftOut);
  const signal = options.signal ? { signal: options.signal } : {};

  for (let first = 0; first < needed.runs.length; first += lookupMax) {
    const runs = needed.runs.slice(first, first + lookupMax);
    const recipes = runs.map((run) => run.recipe);
    for (const [index, names] of (await holders.holdersOf(recipes, signal)).entries()) {
      const set = intern(names);
      const run = runs[index];
      if (run === undefined || sets.peersOf(set).length < enoughHolders) continue;
      setOf.fill(set, run.start, run.end);
      isKnown.fill(1, run.start, run.end);
    }
  }

  let numbers: number[] = [];
  const ask = async () => {
    const digests: Digest[] = numbers.map((number) => needed.digests.at(number));
    for (const [index, names] of (await holders.holdersOf(digests, signal)).entries()) {
      setOf[numbers[index] as number] = intern(names);
    }
    options.onProgress?.((numbers.at(-1) as number) + 1);
    numbers = [];
  };
  for (let number = 0; number < needed.count; number++) {
    if (isKnown[number] === 0) numbers.push(number);
    if (numbers.length >= lookupMax) await ask();
  }
  if (numbers.length > 0) await ask();
  return { digests: needed.digests, lengths: needed.lengths(), holders: setOf, sets };
}

/** Interns lists of names; neighbours often share one list. */
function internerOf(sets: HolderSets, leftOut: ReadonlySet<string>): (names: readonly string[]) => number {
  let lastNames: readonly string[] | undefined;
  let lastSet = nobody;
  return (names) => {
    if (names === lastNames) return lastSet;
    lastNames = names;
    lastSet = sets.intern(names.filter((name) => !leftOut.has(name)).map((name) => sets.peer(name)));
    return lastSet;
  };
}
