/** What the parts of a check share. */
import type { Digester } from '../core/digest.ts';
import type { Backend } from './backend.ts';
import type { Catalog } from './catalog.ts';
import type { EntryReader } from './entry-reader.ts';
import type { StoreKeys } from './keys.ts';

/** `done` of `total` packs or snapshots. */
export interface CheckProgress {
  stage: 'packs' | 'snapshots';
  done: number;
  total: number;
}

export interface CheckOptions {
  /** Reads, decrypts, decompresses and verifies every block and object, and not only where they stand. */
  readData?: boolean;
  onProgress?: (progress: CheckProgress) => void;
  signal?: AbortSignal;
}

export interface CheckParts {
  backend: Backend;
  keys: StoreKeys;
  digester: Digester;
  /** Of its own, not yet loaded: a check trusts nothing that was read before. */
  catalog: Catalog;
  reader: EntryReader;
}
