/** Single values of the index: table `meta`. */
import { decode, encode } from '../core/codec.ts';
import { asCount, asInt64, asText } from '../core/shape.ts';
import type { Tables, View } from './tables.ts';

/** Version of the tables' layout; an index of another version is made anew. */
export const formatVersion = 1;

export const metaKeys = {
  format: 'format',
  /** The domain's identifier. */
  domain: 'domain',
  /** Derived from the domain's digest key and cut parameters: tells whether they are the same. */
  domainCheck: 'domain-check',
  /** Identity of the feed's sequence. */
  history: 'history',
  /** Inode of the data directory. */
  root: 'root',
  /** Last sequence number of the feed. */
  sequence: 'sequence',
  /** Last sequence number that the repository has durably. */
  acknowledged: 'acknowledged',
  /** At this time every file that was not dirty was as its stamp says; nanoseconds since 1970. */
  levelAt: 'level-at',
  /** What was changed before this time is on the disk; nanoseconds since 1970. */
  durableAt: 'durable-at',
  /** Contents changed since this time may have been lost by a power cut, and are still to be looked at. */
  lostSince: 'lost-since',
  /** The machine's start in which the index was opened last. */
  boot: 'boot',
  /** Regular files by inode, and bytes of these as last seen. */
  files: 'files',
  bytes: 'bytes',
  /** 1 if a scan has walked the whole directory at least once. */
  scanned: 'scanned',
  /** How far the rolling re-hash is; see `rolling-check.ts`. */
  rolling: 'rolling-check',
  /** Changes of which no mutation told: since the index was made, and since a full check found none. */
  misses: 'misses',
  missesOpen: 'misses-open',
} as const;

export type MetaKey = (typeof metaKeys)[keyof typeof metaKeys];

export function readMeta(tables: Tables, key: MetaKey, view?: View): unknown {
  const bytes = tables.meta.get(Buffer.from(key), view);
  return bytes === undefined ? undefined : decode(bytes, `index field ${key}`);
}

/** Within a transaction. */
export function writeMeta(tables: Tables, key: MetaKey, value: unknown): void {
  tables.meta.put(Buffer.from(key), encode(value));
}

/** Within a transaction. */
export function removeMeta(tables: Tables, key: MetaKey): void {
  tables.meta.remove(Buffer.from(key));
}

/** 0 if it was never written. */
export function readCount(tables: Tables, key: MetaKey, view?: View): number {
  const value = readMeta(tables, key, view);
  return value === undefined ? 0 : asCount(value, key);
}

/** Within a transaction. */
export function writeCount(tables: Tables, key: MetaKey, value: number): void {
  writeMeta(tables, key, value);
}

/** 0n if it was never written. */
export function readBig(tables: Tables, key: MetaKey): bigint {
  const value = readMeta(tables, key);
  return value === undefined ? 0n : asInt64(value, key);
}

/** Undefined if it was never written. */
export function readText(tables: Tables, key: MetaKey): string | undefined {
  const value = readMeta(tables, key);
  return value === undefined ? undefined : asText(value, key);
}
