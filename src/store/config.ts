/**
 * The config of a store: a sealed file (`sealed-file.ts`) bound to its name, with the payload (msgpack)
 * `{ version: 1, domain: { id, digestKey, cut } }`. The domain is in it because digests cannot be verified without its
 * key. The header gives the id of the store to whoever has no password.
 */
import { decode, encode } from '../core/codec.ts';
import { type Domain, packDomain, unpackDomain } from '../core/domain.ts';
import { CovaultError, isCovaultError } from '../core/errors.ts';
import { asRecord } from '../core/shape.ts';
import type { Backend } from './backend.ts';
import type { StoreKeys } from './keys.ts';
import { configName } from './layout.ts';
import { checkSealedFile, openSealedFile, sealFile } from './sealed-file.ts';

export async function writeConfig(backend: Backend, keys: StoreKeys, domain: Domain): Promise<void> {
  const payload = encode({ version: 1, domain: packDomain(domain) });
  await backend.write(configName, [sealFile('config', configName, keys, payload)]);
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

/** @throws CovaultError `E_CORRUPT`, `E_VERSION`. */
export function openConfig(file: Uint8Array, keys: StoreKeys): Domain {
  const payload = openSealedFile('config', configName, keys, file, configName);
  const fields = asRecord(decode(payload, configName), configName);
  if (fields.version !== 1) {
    throw new CovaultError('E_VERSION', `config of unknown version ${String(fields.version)}`);
  }
  return unpackDomain(fields.domain);
}
