/** The kernel's list of mounts as this process sees it. */
import { readFile } from 'node:fs/promises';

export interface MountEntry {
  /** "major:minor" of the file system's device number. */
  device: string;
  mountpoint: string;
  /** "rw", "nosuid", "nodev", "noexec", … of this mount. */
  options: string[];
  /** "ext4", "fuse.covault", … */
  type: string;
  source: string;
}

/** Type of every mount that Covault makes. */
export const covaultMountType = 'fuse.covault';

/** All mounts, in the order in which they were made. */
export async function readMountTable(): Promise<MountEntry[]> {
  return parseMountTable(await readFile('/proc/self/mountinfo', 'latin1'));
}

/**
 * Lines of mountinfo (proc(5)): `id parent major:minor root mountpoint options optional… - type source superOptions`.
 *
 * @param text each byte as one character (latin1), since names are bytes.
 */
export function parseMountTable(text: string): MountEntry[] {
  return text.split('\n').flatMap((line) => {
    const [before, after] = line.split(' - ');
    const [, , device, , mountpoint, options] = (before ?? '').split(' ');
    const [type, source] = (after ?? '').split(' ');
    if (!device || !mountpoint || !options || !type || source === undefined) return [];
    return [
      {
        device,
        mountpoint: unescapeField(mountpoint),
        options: options.split(','),
        type,
        source: unescapeField(source),
      },
    ];
  });
}

/** What is mounted at exactly this path, uppermost; undefined if it is no mountpoint. */
export function mountAt(entries: readonly MountEntry[], path: string): MountEntry | undefined {
  return entries.findLast(({ mountpoint }) => mountpoint === path);
}

/** The mount that a path without symlinks is on. */
export function mountContaining(entries: readonly MountEntry[], path: string): MountEntry | undefined {
  let found: MountEntry | undefined;
  for (const entry of entries) {
    if (!isWithin(path, entry.mountpoint)) continue;
    if (!found || entry.mountpoint.length >= found.mountpoint.length) found = entry;
  }
  return found;
}

/** Whether `path` is `directory` or below it; both absolute and without symlinks. */
export function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory.endsWith('/') ? directory : `${directory}/`);
}

/** Space, tab, newline and backslash stand as three octal digits. */
function unescapeField(field: string): string {
  const bytes = field.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
  return Buffer.from(bytes, 'latin1').toString('utf8');
}
