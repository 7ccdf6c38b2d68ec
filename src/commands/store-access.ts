/**
 * Stores as commands name them: a directory, opened with a password. What opens them is loaded when the password is there.
 */
import { resolve } from 'node:path';
import type { Domain } from '../core/domain.ts';
import { CovaultError, isCovaultError } from '../core/errors.ts';
import { configName } from '../store/layout.ts';
import { openLocalBackend } from '../store/local-backend.ts';
import type { Store } from '../store/store.ts';
import { readConfigFile, unlockStore } from '../store/unlock.ts';
import type { Call } from './command.ts';
import { readPassword } from './password.ts';

/** Whether there is a store, damaged ones included as long as they can be told to be one. */
export async function isStore(directory: string): Promise<boolean> {
  try {
    await readConfigFile(openLocalBackend(resolve(directory)));
    return true;
  } catch (error) {
    // A file of that name that is none of ours: a bare git repository has one.
    if (isCovaultError(error, 'E_NOT_FOUND') || isCovaultError(error, 'E_CORRUPT')) return false;
    return isCovaultError(error, 'E_VERSION');
  }
}

/** Whether there is a file where a store has its config. */
export async function hasConfig(directory: string): Promise<boolean> {
  return (await openLocalBackend(resolve(directory)).size(configName)) !== undefined;
}

/**
 * Opens the store in `directory`; asks for the password only if there is one.
 *
 * @throws CovaultError `E_NOT_FOUND`, `E_AUTH`, `E_CORRUPT`, `E_BAD_INPUT`.
 */
export async function openExistingStore(call: Call, directory: string): Promise<Store> {
  const path = resolve(directory);
  if (!(await hasConfig(path))) {
    throw new CovaultError('E_NOT_FOUND', `there is no store in ${path}`, {
      hint: 'make one with `covault snapshot CLIENT --to STORE`',
    });
  }
  const password = await readPassword(call, { store: path, isNew: false });
  const { openStore } = await import('../store/store.ts');
  const store = await openStore({ backend: openLocalBackend(path), password, signal: call.signal });
  noteDamage(call, store);
  return store;
}

export interface AskedStore {
  /** There is none yet: `open` makes it. */
  isNew: boolean;
  /** Opens the store, or makes it for `domain`. */
  open(domain: Domain): Promise<Store>;
}

/**
 * Asks for the password of the store in `directory`, or for that of a new one, and begins to derive the key from it. Loads
 * no more than that needs: `open` loads the rest.
 */
export async function askForStore(call: Call, directory: string): Promise<AskedStore> {
  const path = resolve(directory);
  const backend = openLocalBackend(path);
  const isNew = !(await hasConfig(path));
  const password = await readPassword(call, { store: path, isNew });
  const unlocking = isNew ? undefined : unlockStore(backend, password);
  // Told by `open`; until then it is nobody's.
  unlocking?.catch(() => undefined);
  return {
    isNew,
    async open(domain) {
      const { createStore, openUnlockedStore } = await import('../store/store.ts');
      const options = { backend, signal: call.signal };
      if (!unlocking) return await createStore({ ...options, password, domain });
      const store = await openUnlockedStore(options, await unlocking);
      noteDamage(call, store);
      return store;
    },
  };
}

/** What was found damaged at opening does not stop the command, but is not kept quiet. */
function noteDamage(call: Call, store: Store): void {
  for (const notice of store.notices) call.log.warn({ notice }, 'the store is damaged');
}
