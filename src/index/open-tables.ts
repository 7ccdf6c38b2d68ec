/**
 * Opens the index's tables and decides what they are good for: as they are, with a scan, or not at all. An index may
 * always be thrown away; a damaged one is set aside for whoever wants to know why.
 */
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { makeDirectoryDurably } from '../core/atomic-file.ts';
import { randomId } from '../core/clock.ts';
import { deriveDigestKey } from '../core/digest.ts';
import type { Domain } from '../core/domain.ts';
import { isCovaultError } from '../core/errors.ts';
import { noteStart } from './durability.ts';
import { formatVersion, metaKeys, readMeta, readText, writeMeta } from './meta.ts';
import { bootId, isAsClosed, readRunMarker, writeRunMarker } from './run-marker.ts';
import { findDamage, probe } from './soundness.ts';
import { dataFileName, openTables, type Tables } from './tables.ts';

/**
 * How an index was found; all but `clean` and `unclean` mean that it was made anew. `discarded`: because somebody asked
 * for it.
 */
export type FoundIndex = 'fresh' | 'clean' | 'unclean' | 'damaged' | 'discarded' | 'foreign' | 'outdated';

export interface OpenedTables {
  tables: Tables;
  directory: string;
  found: FoundIndex;
  /** A sentence for the user, if there is something to say. */
  notice: string | undefined;
}

/** Starts that ended before the index was level, after which it is taken for damaged. */
const failedStartsMax = 4;

/**
 * @param root the data directory's inode.
 * @throws CovaultError `E_IO`, `E_NO_SPACE`.
 */
export async function openIndexTables(options: {
  stateDirectory: string;
  domain: Domain;
  root: bigint;
  discard?: { reason: string; keep: boolean };
}): Promise<OpenedTables> {
  const directory = join(options.stateDirectory, 'index');
  await makeDirectoryDurably(directory);
  if (options.discard) {
    const { reason, keep } = options.discard;
    return await anew({ ...options, directory, found: keep ? 'damaged' : 'discarded', reason });
  }
  const marker = await readRunMarker(directory);
  const boot = await bootId();
  const hasLostPower = marker !== undefined && marker.boot !== boot;
  const starts = (marker?.starts ?? 0) + 1;
  let damage = await findDamage(directory, hasLostPower);
  if (!damage && !marker && !(await isAsClosed(directory, dataFileName)))
    damage = 'its file was changed by somebody else';
  if (!damage && marker && !(await isSound(directory, options, hasLostPower))) damage = 'it cannot be read through';
  if (!damage && starts > failedStartsMax) damage = `${starts - 1} starts with it failed`;
  if (damage) return await anew({ ...options, directory, found: 'damaged', reason: damage });
  await writeRunMarker(directory, { starts, boot });
  let tables: Tables;
  try {
    tables = openTables(directory, { hasLostPower });
  } catch (error) {
    if (!isCovaultError(error, 'E_CORRUPT')) throw error;
    return await anew({ ...options, directory, found: 'damaged', reason: error.message });
  }
  const stranger = whyForeign(tables, options);
  if (stranger) {
    await tables.close();
    return await anew({ ...options, directory, ...stranger });
  }
  if (readMeta(tables, metaKeys.format) === undefined) {
    await describe(tables, options);
    return { tables, directory, found: 'fresh', notice: undefined };
  }
  await noteStart(tables, boot, marker?.boot);
  if (hasLostPower) {
    // The newest commits may be gone, and their sequence numbers given out.
    await tables.transaction(() => writeMeta(tables, metaKeys.history, randomId()));
  }
  if (!marker) return { tables, directory, found: 'clean', notice: undefined };
  return { tables, directory, found: 'unclean', notice: 'the index was not closed; scanning the data directory' };
}

function isSound(
  directory: string,
  { domain, root }: { domain: Domain; root: bigint },
  hasLostPower: boolean,
): Promise<boolean> {
  return probe({ directory, digestKey: domain.digestKey, cut: domain.cut, root, hasLostPower });
}

/** Why the tables are of no use here, or undefined if they are. */
function whyForeign(
  tables: Tables,
  { domain, root }: { domain: Domain; root: bigint },
): { found: FoundIndex; reason: string } | undefined {
  const format = readMeta(tables, metaKeys.format);
  if (format === undefined) return undefined;
  if (format !== formatVersion) return { found: 'outdated', reason: `its format is ${String(format)}` };
  const isSameDomain =
    readText(tables, metaKeys.domain) === domain.id && readText(tables, metaKeys.domainCheck) === domainCheck(domain);
  if (!isSameDomain) return { found: 'foreign', reason: 'it belongs to another domain' };
  if (readText(tables, metaKeys.root) !== root.toString()) {
    return { found: 'foreign', reason: 'it belongs to another data directory' };
  }
  return undefined;
}

async function anew(options: {
  directory: string;
  domain: Domain;
  root: bigint;
  found: FoundIndex;
  reason: string;
}): Promise<OpenedTables> {
  const { directory, found, reason } = options;
  const aside = `${directory}-damaged`;
  if (found === 'damaged') {
    await rm(aside, { recursive: true, force: true });
    await rename(directory, aside);
  } else {
    await rm(directory, { recursive: true, force: true });
  }
  await makeDirectoryDurably(directory);
  await writeRunMarker(directory, { starts: 1, boot: await bootId() });
  const tables = openTables(directory);
  await describe(tables, options);
  const where = found === 'damaged' ? `; the damaged one is in ${aside}` : '';
  return { tables, directory, found, notice: `the index is made anew: ${reason}${where}` };
}

async function describe(tables: Tables, { domain, root }: { domain: Domain; root: bigint }): Promise<void> {
  await tables.transaction(() => {
    writeMeta(tables, metaKeys.format, formatVersion);
    writeMeta(tables, metaKeys.domain, domain.id);
    writeMeta(tables, metaKeys.domainCheck, domainCheck(domain));
    writeMeta(tables, metaKeys.history, randomId());
    writeMeta(tables, metaKeys.root, root.toString());
  });
}

/** The same for the same key and cut parameters; tells nothing of the key. */
function domainCheck({ digestKey, cut }: Domain): string {
  const material = Buffer.concat([digestKey, Buffer.from(`${cut.minBytes} ${cut.normalBytes} ${cut.maxBytes}`)]);
  return Buffer.from(deriveDigestKey('covault index domain check', material)).toString('hex');
}
