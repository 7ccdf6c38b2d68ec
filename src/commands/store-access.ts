/** Stores as commands name them: a directory, opened with a password. */
import { resolve } from 'node:path';
import type { Domain } from '../core/domain.ts';
import { CovaultError, isCovaultError } from '../core/errors.ts';
import { readConfigFile } from '../store/config.ts';
import { configName } from '../store/layout.ts';
import { openLocalBackend } from '../store/local-backend.ts';
import { createStore, openStore, type Store } from '../store/store.ts';
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
  const store = await openStore({ backend: openLocalBackend(path), password, signal: call.signal });
  noteDamage(call, store);
  return store;
}

/**
 * Asks for the password of the store in `directory`, or for that of a new one. What it gives opens the store, or makes it
 * for `domain` if there is none.
 */
export async function askForStore(
  call: Call,
  directory: string,
  domain: Domain,
): Promise<() => Promise<{ store: Store; isNew: boolean }>> {
  const path = resolve(directory);
  const isNew = !(await hasConfig(path));
  const password = await readPassword(call, { store: path, isNew });
  const options = { backend: openLocalBackend(path), password, signal: call.signal };
  return async () => {
    if (isNew) return { store: await createStore({ ...options, domain }), isNew };
    const store = await openStore(options);
    noteDamage(call, store);
    return { store, isNew };
  };
}

/** What was found damaged at opening does not stop the command, but is not kept quiet. */
function noteDamage(call: Call, store: Store): void {
  for (const notice of store.notices) call.log.warn({ notice }, 'the store is damaged');
}
