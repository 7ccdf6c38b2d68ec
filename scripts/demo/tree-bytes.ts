/** Bytes of the tree objects of a snapshot: the part of it that only its source has. */
import { type Digest, digestKey } from '../../src/core/digest.ts';
import type { SnapshotReader } from '../../src/core/ports.ts';
import { decodeTree } from '../../src/core/tree.ts';

/**
 * @param root digest of the snapshot's root tree.
 * @param seen trees counted before, by digest; those counted now are added.
 */
export async function countTreeBytes(reader: SnapshotReader, root: Digest, seen: Set<string>): Promise<number> {
  const waiting = [root];
  let bytes = 0;
  for (let digest = waiting.pop(); digest !== undefined; digest = waiting.pop()) {
    const key = digestKey(digest);
    if (seen.has(key)) continue;
    seen.add(key);
    const object = await reader.readObject('tree', digest);
    bytes += object.byteLength;
    for (const entry of decodeTree(object)) if (entry.kind === 'directory') waiting.push(entry.tree);
  }
  return bytes;
}
