/** Mounts a store for browsing: through the addon, or through `fuse-native` where the addon cannot be loaded. */
import type { Clock } from '../core/clock.ts';
import type { SnapshotReader } from '../core/ports.ts';
import { addonProblem } from '../fs/native.ts';
import { mountTree } from '../fs/tree-session.ts';
import { mountWithFuseNative } from './fuse-native.ts';
import { checkKeptOut } from './kept-out.ts';
import { TreeView } from './tree-view.ts';

export interface BrowseOptions {
  reader: SnapshotReader;
  /** An empty directory. */
  mountpoint: string;
  /** Directories that must not be mounted over or in: the store. */
  keepOut?: readonly string[];
  clock?: Clock;
  /** Directories, separated by ":", in which `fusermount3` is looked for; by default the usual ones. */
  searchPath?: string;
  /** Told of everything that a user of the mount sees as an input/output error: one sentence that names the path. */
  onProblem?: (message: string) => void;
  /** `automatic` (the default) takes `fuse-native` only if the addon cannot be loaded. */
  through?: 'automatic' | 'fuse-native';
}

export interface BrowseSession {
  /** Without symlinks. */
  mountpoint: string;
  through: 'addon' | 'fuse-native';
  /** Idempotent. Lazy: at once, although it is in use. @throws CovaultError `E_MOUNT`. */
  unmount(options?: { lazy?: boolean }): Promise<void>;
  /** Resolves when it is unmounted, from outside too; rejects with `E_MOUNT` if it failed. */
  closed: Promise<void>;
}

/**
 * Serves until it is unmounted. This process must not touch the mount itself: a synchronous call would wait for itself.
 *
 * @throws CovaultError `E_BAD_INPUT`, `E_NOT_FOUND`, `E_MOUNT` or `E_REQUIREMENT`; then nothing is mounted.
 */
export async function browseStore(options: BrowseOptions): Promise<BrowseSession> {
  const { reader, mountpoint, keepOut, clock, onProblem, searchPath, through } = options;
  await checkKeptOut(mountpoint, keepOut ?? []);
  const view = new TreeView(reader, { ...(clock && { clock }), ...(onProblem && { onProblem }) });
  if (through === 'fuse-native' || addonProblem() !== undefined) {
    return { ...(await mountWithFuseNative(mountpoint, view)), through: 'fuse-native' };
  }
  const session = await mountTree(mountpoint, view, searchPath === undefined ? {} : { searchPath });
  return {
    mountpoint: session.mountpoint,
    through: 'addon',
    unmount: (how) => session.unmount(how),
    closed: session.closed,
  };
}
