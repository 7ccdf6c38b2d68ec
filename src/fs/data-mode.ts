/** How the kernel hands over what is written, and which way is the better one on a kernel. */

/** `writeback`: the kernel gathers writes and sends them later; `write-through`: each write reaches the engine at once. */
export type DataMode = 'writeback' | 'write-through';

/** From here on `syncfs` of a FUSE mount waits for writes under way, which a cut relies on. */
const syncWaitsSince = [6, 16] as const;

/**
 * Writeback, which is several times as fast for small writes (`docs/performance.md`), where the kernel's flush of a
 * mount is complete; write-through elsewhere.
 *
 * @param release the kernel's, as `uname -r` has it
 */
export function dataModeFor(release: string): DataMode {
  const [major = 0, minor = 0] = release.split('.').map((part) => Number.parseInt(part, 10));
  const [sinceMajor, sinceMinor] = syncWaitsSince;
  const waits = major > sinceMajor || (major === sinceMajor && minor >= sinceMinor);
  return waits ? 'writeback' : 'write-through';
}
