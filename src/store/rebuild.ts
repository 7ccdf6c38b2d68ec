/** Makes the index files anew from the packs and the sealed snapshots. */
import { checkInterrupted, isCovaultError } from '../core/errors.ts';
import type { SnapshotRecord } from '../core/snapshot.ts';
import type { Backend, BackendFile } from './backend.ts';
import { Catalog } from './catalog.ts';
import { findClosure } from './closure.ts';
import { type StoreNotice, saysDamage } from './damage.ts';
import type { EntryReader } from './entry-reader.ts';
import { type IndexedPack, readIndexFile, rowCount, writeIndexFile } from './index-file.ts';
import { indexFileGroups, rowsPerIndexFile, unitePacks } from './index-merge.ts';
import type { StoreKeys } from './keys.ts';
import { indexesFolder, packHash, packsFolder } from './layout.ts';
import { packsOfRows } from './object-rows.ts';

export interface RebuildReport {
  packs: number;
  blocks: number;
  /** Trees and recipes that sealed snapshots refer to. */
  objects: number;
  indexFiles: number;
  /** Packs that could not be read, and snapshots that miss something. */
  notices: StoreNotice[];
}

export interface RebuildParts {
  backend: Backend;
  keys: StoreKeys;
  snapshots: readonly SnapshotRecord[];
  makeReader(catalog: Catalog): EntryReader;
  signal?: AbortSignal;
}

/** Packs whose trailers are read before it is looked whether an index file is full. */
const packsAtOnce = 64;

/**
 * Reads every pack's trailer, writes new index files, then removes the old ones; interrupted at any point, the store is
 * as usable as before. An object is listed as complete if a sealed snapshot, of which nothing is missing, has it.
 */
export async function rebuildIndexFiles(parts: RebuildParts): Promise<{ catalog: Catalog; report: RebuildReport }> {
  const { backend, keys } = parts;
  const old = await backend.list(indexesFolder);
  const catalog = new Catalog(backend, keys);
  await indexBlocks(parts, catalog, old);
  const { packs, objects, notices } = await findCompleteObjects(parts, catalog);
  for (const group of indexFileGroups(packs)) await writeGroup(parts, catalog, group);
  for (const { name } of old) await backend.remove(name);
  const report: RebuildReport = {
    packs: catalog.packs.length,
    blocks: catalog.tables.block.size,
    objects,
    indexFiles: catalog.indexFiles.size,
    notices: [...catalog.notices, ...notices],
  };
  return { catalog, report };
}

async function indexBlocks(parts: RebuildParts, catalog: Catalog, old: readonly BackendFile[]): Promise<void> {
  const files = await parts.backend.list(packsFolder);
  let packs: IndexedPack[] = [];
  for (let at = 0; at < files.length; at += packsAtOnce) {
    checkInterrupted(parts.signal);
    await catalog.adopt(files.slice(at, at + packsAtOnce));
    packs.push(...catalog.takeUnindexed());
    if (packs.reduce((sum, pack) => sum + rowCount(pack), 0) < rowsPerIndexFile) continue;
    await writeGroup(parts, catalog, packs);
    packs = [];
  }
  await keepUnreadable(parts, catalog, files, old);
  packs.push(...catalog.takeUnindexed());
  if (packs.length > 0) await writeGroup(parts, catalog, packs);
}

/** Packs that are there but have a damaged trailer: of those, the old index files are all that tells what is in them. */
async function keepUnreadable(
  parts: RebuildParts,
  catalog: Catalog,
  files: readonly BackendFile[],
  old: readonly BackendFile[],
): Promise<void> {
  const unread = new Map(
    files
      .map(({ name, bytes }) => [packHash(name) ?? '', bytes] as const)
      .filter(([hash]) => hash !== '' && !catalog.packByHash(hash)),
  );
  if (unread.size === 0) return;
  const told: IndexedPack[] = [];
  for (const { name } of old) {
    try {
      const packs = await readIndexFile(parts.backend, parts.keys, name);
      told.push(...packs.filter(({ hash, bytes }) => unread.get(hash) === bytes));
    } catch (error) {
      if (!saysDamage(error) && !isCovaultError(error, 'E_NOT_FOUND')) throw error;
    }
  }
  for (const pack of unitePacks(told)) catalog.adoptIndexed(pack, 'an index file');
}

async function findCompleteObjects(parts: RebuildParts, catalog: Catalog) {
  const reader = parts.makeReader(catalog);
  const found: IndexedPack[] = [];
  const notices: StoreNotice[] = [];
  let objects = 0;
  for (const record of parts.snapshots) {
    const { visited, missing } = await findClosure(catalog, reader, record.root.tree, {
      isComplete: (kind, row) => catalog.tables[kind].isComplete(row),
      ...(parts.signal && { signal: parts.signal }),
    });
    if (missing.length > 0) {
      notices.push({ file: `snapshots/${record.id}`, message: `snapshot ${record.id}: ${missing.join('; ')}` });
      continue;
    }
    found.push(...packsOfRows(catalog, visited));
    for (const kind of ['tree', 'recipe'] as const) {
      for (const row of visited[kind].rows()) catalog.tables[kind].setComplete(row);
      objects += visited[kind].size;
    }
  }
  return { packs: unitePacks(found), objects, notices };
}

async function writeGroup(parts: RebuildParts, catalog: Catalog, group: readonly IndexedPack[]): Promise<void> {
  const { name } = await writeIndexFile(parts.backend, parts.keys, group);
  catalog.indexFiles.set(
    name,
    group.reduce((sum, pack) => sum + rowCount(pack), 0),
  );
}
