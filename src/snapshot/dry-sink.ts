/** A sink that takes nothing: shows what is in a store, so that a plan can be made without changing it. */
import { CovaultError } from '../core/errors.ts';
import type { SnapshotSink } from '../core/ports.ts';

/** What of a sink is asked for until there is a plan. */
export type ReadableSink = Pick<SnapshotSink, 'hasBlock' | 'hasObject' | 'readObject'>;

/** A store that is not there holds nothing. */
export const emptySink: ReadableSink = {
  hasBlock: () => false,
  hasObject: () => false,
  readObject: async () => {
    throw new CovaultError('E_NOT_FOUND', 'there is no store yet');
  },
};

/** `store` as it is, with everything that is added being dropped. */
export function drySink(store: ReadableSink): SnapshotSink {
  return {
    hasBlock: (digest) => store.hasBlock(digest),
    hasObject: (kind, digest) => store.hasObject(kind, digest),
    readObject: (kind, digest) => store.readObject(kind, digest),
    addBlock: async () => undefined,
    addObject: async () => undefined,
    flush: async () => undefined,
    storedBytes: () => 0,
  };
}
