/** The key slots of a store as files: adding one, and opening the store with a password. */
import { randomId } from '../core/clock.ts';
import { CovaultError, isCovaultError } from '../core/errors.ts';
import type { Backend } from './backend.ts';
import { type KdfParameters, unwrapMasterKey, wrapMasterKey } from './key-slot.ts';
import { isStoreFile, keyName, keysFolder } from './layout.ts';

/** Adds a slot for a further password; its name. */
export async function addKeySlot(
  backend: Backend,
  storeId: Uint8Array,
  master: Uint8Array,
  password: string | Uint8Array,
  kdf: KdfParameters,
): Promise<string> {
  const name = keyName(randomId());
  await backend.write(name, [await wrapMasterKey(master, storeId, password, kdf)]);
  return name;
}

/**
 * The master key, from the slot that the password opens.
 *
 * @throws CovaultError `E_AUTH` if a slot is intact but the password opens none; `E_CORRUPT` if no slot is intact.
 */
export async function openMasterKey(
  backend: Backend,
  storeId: Uint8Array,
  password: string | Uint8Array,
): Promise<Uint8Array> {
  const damage: string[] = [];
  let intact = 0;
  for (const { name } of await backend.list(keysFolder)) {
    if (!isStoreFile(name)) continue;
    try {
      const master = await unwrapMasterKey(await backend.read(name), name, storeId, password);
      if (master) return master;
      intact++;
    } catch (error) {
      if (!isCovaultError(error, 'E_CORRUPT')) throw error;
      damage.push(error.message);
    }
  }
  const also = damage.length > 0 ? ` (and ${damage.join(', ')})` : '';
  if (intact > 0) {
    throw new CovaultError('E_AUTH', `the password does not open the store in ${backend.location}${also}`, {
      hint: 'try again with the password that the store was made with',
    });
  }
  throw new CovaultError('E_CORRUPT', `the store in ${backend.location} has no usable key${also}`, {
    hint: `bring back its folder ${keysFolder} from a copy`,
  });
}
