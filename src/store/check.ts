/** Checks a store: its files, its packs, its snapshots; goes on past every damage and tells what it costs. */
import { checkInterrupted } from '../core/errors.ts';
import type { BackendFile } from './backend.ts';
import { checkPacks } from './check-packs.ts';
import type { CheckOptions, CheckParts } from './check-parts.ts';
import { CheckFindings, type CheckReport } from './check-report.ts';
import { checkSnapshots } from './check-snapshots.ts';
import { openConfig } from './config.ts';
import { decodeSlot } from './key-slot.ts';
import { configName, isStoreFile, keysFolder } from './layout.ts';
import { readConfigFile } from './unlock.ts';

/** @throws CovaultError `E_INTERRUPTED`, and `E_IO` if the storage itself fails. */
export async function checkStore(parts: CheckParts, options: CheckOptions): Promise<CheckReport> {
  const findings = new CheckFindings();
  const files = await parts.backend.list('');
  checkNames(files, findings);
  await checkConfig(parts, findings);
  await checkKeys(parts, files, findings);
  await parts.catalog.refresh();
  const { packs, bytesRead } = await checkPacks(parts, options, findings);
  checkInterrupted(options.signal);
  const { snapshots, objects } = await checkSnapshots(parts, options, findings);
  return {
    ok: findings.all.every(({ severity }) => severity !== 'damage'),
    packs,
    blocks: parts.catalog.tables.block.size,
    objects,
    snapshots,
    bytesRead,
    findings: findings.all,
  };
}

function checkNames(files: readonly BackendFile[], findings: CheckFindings): void {
  for (const { name } of files) {
    if (!isStoreFile(name)) findings.notice(name, `${name} does not belong to the store`);
  }
}

async function checkConfig(parts: CheckParts, findings: CheckFindings): Promise<void> {
  try {
    openConfig((await readConfigFile(parts.backend)).file, parts.keys);
  } catch (error) {
    findings.damageFrom(configName, error);
  }
}

async function checkKeys(parts: CheckParts, files: readonly BackendFile[], findings: CheckFindings): Promise<void> {
  for (const { name } of files) {
    if (!name.startsWith(keysFolder) || !isStoreFile(name)) continue;
    try {
      decodeSlot(await parts.backend.read(name), name, parts.keys.storeId);
    } catch (error) {
      findings.damageFrom(name, error);
    }
  }
}
