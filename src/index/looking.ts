/** Looks at what mutations touched, by way of the looking thread, and puts the present state into the tables. */
import { inodeKey } from './layout.ts';
import { foundPlaceOf, isDirectory, pathOf } from './names.ts';
import { observe, observeInode } from './observe.ts';
import type { IndexState } from './state.ts';
import { Touched, type TouchedName } from './touched.ts';
import type { WorkerPool } from './worker-pool.ts';
import type { LookOutcome } from './worker-protocol.ts';

/** Names asked for at once, and sightings put into one transaction. */
const namesPerRequest = 512;
const sightingsPerTransaction = 256;

interface Question {
  directory: bigint;
  path: Buffer;
  names: TouchedName[];
}

/**
 * @returns names that could not be looked at because their directory was not where the index has it: to be tried again
 *   when further mutations are applied.
 */
export async function lookAt(state: IndexState, pool: WorkerPool, touched: Touched): Promise<Touched> {
  const deferred = new Touched();
  addInodes(state, touched);
  const questions: Question[] = [];
  for (const [directory, names] of touched.byDirectory()) {
    const path = pathOf(state, directory);
    if (!path) {
      // It hangs on nothing for the moment; if it is forgotten, so are the names in it. It may not have been seen yet.
      const isUnseen = !state.tables.inodes.has(inodeKey(directory)) && state.tables.links.has(inodeKey(directory));
      if (isUnseen || isDirectory(state, directory)) defer(deferred, directory, names);
      continue;
    }
    for (let at = 0; at === 0 || at < names.length; at += namesPerRequest) {
      questions.push({ directory, path, names: names.slice(at, at + namesPerRequest) });
    }
  }
  for (const part of grouped(questions)) {
    const outcomes = await pool.run({
      kind: 'look',
      epoch: state.epoch?.id,
      directories: part.map(({ directory, path, names }) => ({
        directory,
        path,
        names: names.map(({ name }) => name),
      })),
    });
    for (const [number, question] of part.entries()) {
      await apply(state, question, { outcome: outcomes[number] as LookOutcome, deferred });
    }
  }
  return deferred;
}

/** An inode is looked at by one of its names. */
function addInodes(state: IndexState, touched: Touched): void {
  for (const inode of state.unlinked) touched.addInode(inode);
  state.unlinked.clear();
  for (const inode of touched.inodes) {
    const place = foundPlaceOf(state, inode);
    if (place) touched.addName(place);
    else if (inode === state.root) touched.addDirectory(inode);
  }
}

async function apply(
  state: IndexState,
  { directory, names }: Question,
  { outcome, deferred }: { outcome: LookOutcome; deferred: Touched },
): Promise<void> {
  if (outcome.kind === 'failed') {
    state.unreadable.set(directory, outcome.code);
    return;
  }
  if (outcome.kind === 'gone') {
    defer(deferred, directory, names);
    return;
  }
  for (let at = 0; at === 0 || at < names.length; at += sightingsPerTransaction) {
    await state.write(() => {
      // Names that come and go change the times of their directory.
      // One that the index comes across only now is listed: what was said of it earlier may have gone with another inode of
      // its number.
      if (at === 0) observeInode(state, outcome.self, { by: 'reported', isNew: false });
      for (const [number, { name, created }] of names.slice(at, at + sightingsPerTransaction).entries()) {
        const seen = outcome.states[at + number];
        // Later mutations tell all that is in a new directory.
        const isNew = created !== undefined && created === seen?.inode;
        observe(state, { parent: directory, name }, seen, { by: 'reported', isNew });
      }
    });
  }
}

/** What is found there later does not count as new any more: mutations of names within may have been applied meanwhile. */
function defer(deferred: Touched, parent: bigint, names: readonly TouchedName[]): void {
  for (const { name, tries } of names) deferred.addName({ parent, name }, { tries: tries + 1 });
}

function grouped(questions: readonly Question[]): Question[][] {
  const groups: Question[][] = [];
  let count = namesPerRequest;
  for (const question of questions) {
    if (count >= namesPerRequest) {
      groups.push([]);
      count = 0;
    }
    groups.at(-1)?.push(question);
    count += question.names.length;
  }
  return groups;
}
