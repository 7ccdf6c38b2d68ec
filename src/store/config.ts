/**
 * The config of a store: a sealed file (`sealed-file.ts`) bound to its name, with the payload (msgpack)
 * `{ version: 1, domain: { id, digestKey, cut } }`. The domain is in it because digests cannot be verified without its
 * key. The header gives the id of the store to whoever has no password.
 */
import { decode, encode } from '../core/codec.ts';
import { type Domain, packDomain, unpackDomain } from '../core/domain.ts';
import { CovaultError } from '../core/errors.ts';
import { asRecord } from '../core/shape.ts';
import type { Backend } from './backend.ts';
import type { StoreKeys } from './keys.ts';
import { configName } from './layout.ts';
import { openSealedFile, sealFile } from './sealed-file.ts';

export async function writeConfig(backend: Backend, keys: StoreKeys, domain: Domain): Promise<void> {
  const payload = encode({ version: 1, domain: packDomain(domain) });
  await backend.write(configName, [sealFile('config', configName, keys, payload)]);
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
