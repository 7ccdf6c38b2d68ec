/**
 * What the kernel allows one mount's page cache. By default a FUSE mount may hold 1 % of the dirty pages that others may,
 * strictly, and reads ahead 128 KiB; for a mount that is as trusted as the file system below, both only slow it down.
 * The read-ahead is the largest power of two whose answers fit the pipe that every user may have
 * (`native/src/reply_pipe.h`).
 */
import { open } from 'node:fs/promises';

const settings = [
  ['strict_limit', '0'],
  ['max_ratio', '100'],
  ['read_ahead_kb', '512'],
] as const;

/**
 * Lifts the limits of the mount with this device number ("major:minor"), as far as that is permitted and the kernel
 * knows them.
 *
 * @returns the names of the settings that were changed.
 */
export async function liftWritebackLimits(device: string): Promise<string[]> {
  const changed: string[] = [];
  for (const [name, value] of settings) {
    try {
      await using file = await open(`/sys/class/bdi/${device}/${name}`, 'r+');
      await file.write(value);
      changed.push(name);
    } catch {
      // Ordinary users may not, older kernels have no strict_limit, a container may hide it all: it works without.
    }
  }
  return changed;
}
