/**
 * What must hold of an index after whatever happened to it: it says exactly what the data directory has. That is asked of
 * three who know nothing of one another: the files on disk, read with plain system calls; the index, by browsing a cut of
 * it (whose blocks are verified against its digests); an index made afresh, which hashes everything.
 */
import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../src/core/clock.ts';
import { digestHex } from '../../src/core/digest.ts';
import { type LiveIndex, openIndex } from '../../src/index/live-index.ts';
import type { CutMount } from '../cuts/cut-mount.ts';
import { digestOfImage, type Image, readDirectoryImage } from '../cuts/image.ts';

export interface Convergence {
  /** How the index was found when it was opened. */
  found: LiveIndex['found'];
  /** Files that the scan took for changed. */
  filesChanged: number;
  files: number;
  bytes: number;
}

/** Nothing may change meanwhile. @param title for messages. */
export async function assertConverges(mount: CutMount, title: string): Promise<Convergence> {
  const { index } = mount.daemon;
  const snapshot = await index.openCut();
  const root = digestHex(snapshot.root.tree);
  await snapshot.close();
  const held = await mount.hold();
  try {
    assert.deepEqual(held.exceptions, [], `${title}: exceptions`);
    assertSameImages(await held.read(), readDirectoryImage(mount.data), title);
  } finally {
    await held.close();
  }
  assert.equal(root, await freshRoot(mount), `${title}: the digest of everything`);
  const { misses, differences } = await index.check();
  assert.deepEqual([misses, differences], [0, []], `${title}: misses`);
  const status = index.status();
  assert.equal(status.failure, undefined, title);
  assert.ok(status.lastScan, `${title}: the status says how the index got level`);
  assert.equal(status.lastScan.found, status.found);
  const { files, bytes, found, lastScan } = status;
  return { found, filesChanged: lastScan.filesChanged, files, bytes };
}

function assertSameImages(shown: Image, onDisk: Image, title: string): void {
  if (digestOfImage(shown) === digestOfImage(onDisk)) return;
  const differing: string[] = [];
  for (const path of new Set([...shown.keys(), ...onDisk.keys()])) {
    const [one, other] = [shown.get(path), onDisk.get(path)];
    if (!one || !other) differing.push(`${path}: only ${one ? 'in the index' : 'on disk'}`);
    else if (!one.content.equals(other.content)) differing.push(`${path}: other content`);
    else if (one.mode !== other.mode || one.mtimeNs !== other.mtimeNs || one.nlink !== other.nlink)
      differing.push(`${path}: other attributes`);
  }
  assert.fail(
    `${title}: the index does not say what is on disk: ${differing.slice(0, 10).join('; ') || 'xattrs, links'}`,
  );
}

/** The digest of the root's tree in an index that has hashed everything just now. */
async function freshRoot(mount: CutMount): Promise<string> {
  const stateDirectory = mkdtempSync(join(mount.data, '../fresh-'));
  const directoryFd = openSync(mount.data, 'r');
  try {
    const index = await openIndex({ stateDirectory, directoryFd, domain: mount.domain, clock: systemClock });
    const cut = await index.openCut();
    const root = digestHex(cut.root.tree);
    await cut.close();
    await index.close();
    return root;
  } finally {
    closeSync(directoryFd);
    rmSync(stateDirectory, { recursive: true, force: true });
  }
}
