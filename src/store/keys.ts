/**
 * The keys of a store: one random master key, from it one key per purpose, from those one key per file (by the salt in
 * the file's header). No key ever encrypts two files, so a nonce need only be unique within a file.
 */
import { deriveKey } from './cipher.ts';

export const masterKeyBytes = 32;

export type KeyPurpose = 'config' | 'blocks' | 'objects' | 'indexes' | 'snapshots';

export interface StoreKeys {
  /** 16 bytes. */
  readonly storeId: Uint8Array;
  /** The key of the one file that has this salt. */
  fileKey(purpose: KeyPurpose, salt: Uint8Array): Uint8Array;
}

/** @param master 32 bytes; only read during the call. */
export function deriveStoreKeys(master: Uint8Array, storeId: Uint8Array): StoreKeys {
  const purposeKey = (purpose: KeyPurpose) => deriveKey(master, storeId, `covault store 1 ${purpose}`);
  const keys: Record<KeyPurpose, Uint8Array> = {
    config: purposeKey('config'),
    blocks: purposeKey('blocks'),
    objects: purposeKey('objects'),
    indexes: purposeKey('indexes'),
    snapshots: purposeKey('snapshots'),
  };
  return {
    storeId,
    fileKey: (purpose, salt) => deriveKey(keys[purpose], salt, 'covault store 1 file'),
  };
}
