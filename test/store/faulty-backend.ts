/** Lets a backend fail from a chosen change on, as a full disk or a power cut would. For tests. */
import { CovaultError } from '../../src/core/errors.ts';
import type { Backend } from '../../src/store/backend.ts';

export interface FaultyBackend extends Backend {
  /** Changes (writes and removals) that went through. */
  changes(): number;
}

/**
 * @param changesMax changes that still go through; the one after them and all later ones fail.
 * @param torn whether the first failing write is done all the same: cut off after the rename, before the answer.
 */
export function openFaultyBackend(backend: Backend, changesMax: number, torn = false): FaultyBackend {
  let changes = 0;
  let failed = false;
  const change = async (act: () => Promise<void>) => {
    if (!failed && changes < changesMax) {
      changes++;
      return act();
    }
    if (!failed && torn) await act();
    failed = true;
    throw new CovaultError('E_NO_SPACE', 'the disk is full (injected)');
  };
  return {
    ...backend,
    changes: () => changes,
    write: (name, chunks) => change(() => backend.write(name, chunks)),
    remove: (name) => change(() => backend.remove(name)),
  };
}
