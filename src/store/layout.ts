/** Names of the files of a store. */
import { CovaultError } from '../core/errors.ts';

/** Present in every store, written last when one is made: its presence is what makes a place a store. */
export const configName = 'config';

export const keysFolder = 'keys/';
export const packsFolder = 'packs/';
export const indexesFolder = 'indexes/';
export const snapshotsFolder = 'snapshots/';

/** @param id 32 hexadecimal digits. */
export function keyName(id: string): string {
  return keysFolder + id;
}

/** @param hash SHA-256 of the pack's bytes, 64 hexadecimal digits. */
export function packName(hash: string): string {
  return `${packsFolder}${hash.slice(0, 2)}/${hash}`;
}

/** The hash in the name of a pack; undefined if this is no such name. */
export function packHash(name: string): string | undefined {
  const hash = name.slice(packsFolder.length + 3);
  return /^[0-9a-f]{64}$/.test(hash) && packName(hash) === name ? hash : undefined;
}

/** @param hash SHA-256 of the index file's bytes, 64 hexadecimal digits. */
export function indexName(hash: string): string {
  return indexesFolder + hash;
}

/** @throws CovaultError `E_BAD_INPUT` if `id` is not 32 hexadecimal digits. */
export function snapshotName(id: string): string {
  if (!/^[0-9a-f]{32}$/.test(id)) throw new CovaultError('E_BAD_INPUT', `not the id of a snapshot: ${id}`);
  return snapshotsFolder + id;
}

/** Whether `name` can be a file of a store. */
export function isStoreFile(name: string): boolean {
  return (
    name === configName ||
    packHash(name) !== undefined ||
    /^(keys|snapshots)\/[0-9a-f]{32}$/.test(name) ||
    /^indexes\/[0-9a-f]{64}$/.test(name)
  );
}
