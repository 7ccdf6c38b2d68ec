/** Compares the extended attributes of two entries, access control lists included. */
import type { Xattr } from '../core/tree.ts';
import { listXattrs } from '../fs/native.ts';

/**
 * One item for each attribute that differs; `ignored` names may.
 *
 * @throws CovaultError `E_REQUIREMENT` without the addon; the operating system's error.
 */
export function compareXattrs(pathA: Buffer, pathB: Buffer, ignored: readonly string[]): { a: string; b: string }[] {
  const [a, b] = [byName(listXattrs(pathA)), byName(listXattrs(pathB))];
  const differing: { a: string; b: string }[] = [];
  for (const name of new Set([...a.keys(), ...b.keys()])) {
    const [ofA, ofB] = [a.get(name), b.get(name)];
    if (ofA === ofB || ignored.includes(name)) continue;
    differing.push({ a: describe(name, ofA), b: describe(name, ofB) });
  }
  return differing;
}

/** Values as hexadecimal digits. */
function byName(xattrs: readonly Xattr[]): Map<string, string> {
  return new Map(
    xattrs.map(({ name, value }) => [Buffer.from(name).toString('latin1'), Buffer.from(value).toString('hex')]),
  );
}

function describe(name: string, value: string | undefined): string {
  if (value === undefined) return `no ${name}`;
  return value.length <= 64 ? `${name}=0x${value}` : `${name}=0x${value.slice(0, 64)}… (${value.length / 2} bytes)`;
}
