/** What index files must say of trees and recipes that were found complete. */
import type { ObjectKind } from '../core/ports.ts';
import type { Catalog } from './catalog.ts';
import type { RowSet } from './entry-table.ts';
import { type IndexedPack, indexedPack } from './index-file.ts';
import type { PackRow } from './pack-format.ts';

/** The rows by pack, as an index file tells them; those already listed as complete are left out. */
export function packsOfRows(catalog: Catalog, rows: Record<ObjectKind, RowSet>): IndexedPack[] {
  const byPack = new Map<number, PackRow[]>();
  for (const kind of ['tree', 'recipe'] as const) {
    for (const row of rows[kind].rows()) {
      const { place, digest } = catalog.entry(kind, row);
      if (place.complete) continue;
      const { offset, storedBytes, rawBytes, compressed } = place;
      const packRow: PackRow = { digest, kind, compressed, offset, storedBytes, rawBytes };
      const others = byPack.get(place.pack);
      if (others) others.push(packRow);
      else byPack.set(place.pack, [packRow]);
    }
  }
  return [...byPack].map(([number, packRows]) => {
    packRows.sort((a, b) => a.offset - b.offset);
    const { hash, kind, salt, bytes } = catalog.pack(number);
    return indexedPack({ hash, kind, salt, bytes, rows: packRows });
  });
}
