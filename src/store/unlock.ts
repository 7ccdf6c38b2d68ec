/**
 * What a password opens: the master key of a store. Needs little code, so that this can be begun, in the thread pool, while
 * the rest is still being loaded.
 */
import { CovaultError, isCovaultError } from '../core/errors.ts';
import type { Backend } from './backend.ts';
import { openMasterKey } from './key-ring.ts';
import { configName } from './layout.ts';
import { checkSealedFile } from './sealed-file.ts';

export interface UnlockedStore {
  /** The config as it is in the store, encrypted. */
  config: Uint8Array;
  storeId: Uint8Array;
  master: Uint8Array;
}

/**
 * @throws CovaultError `E_NOT_FOUND` if there is no store, `E_AUTH` for a wrong password, `E_CORRUPT` if its config or all its
 *   keys are damaged, `E_VERSION`, `E_IO`.
 */
export async function unlockStore(backend: Backend, password: string | Uint8Array): Promise<UnlockedStore> {
  const { file, storeId } = await readConfigFile(backend);
  return { config: file, storeId, master: await openMasterKey(backend, storeId, password) };
}

/**
 * The bytes of the config and the store's id, readable without a key.
 *
 * @throws CovaultError `E_NOT_FOUND` if this is no store, `E_CORRUPT`, `E_VERSION`.
 */
export async function readConfigFile(backend: Backend): Promise<{ file: Uint8Array; storeId: Uint8Array }> {
  const file = await backend.read(configName).catch((cause: unknown) => {
    if (!isCovaultError(cause, 'E_NOT_FOUND')) throw cause;
    throw new CovaultError('E_NOT_FOUND', `${backend.location} is not a store`, {
      cause,
      hint: 'check the path, or let the first snapshot make a new store there',
    });
  });
  const { storeId } = checkSealedFile('config', file, configName);
  return { file, storeId };
}
