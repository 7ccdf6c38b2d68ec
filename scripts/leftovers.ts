/**
 * What a run has left behind: mounts below its directory, processes that were started with it as their TMPDIR, and
 * files in it. A run that gives its children a TMPDIR of its own is told apart from anything else on the machine.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { sep } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Leftovers {
  mounts: string[];
  /** `pid: command line` */
  processes: string[];
  files: string[];
}

/** Mountpoints at or below `directory`, deepest first. */
export function mountsBelow(directory: string, mounts = readFileSync('/proc/self/mounts', 'utf8')): string[] {
  return mounts
    .split('\n')
    .map((line) => unescapeOctal(line.split(' ')[1] ?? ''))
    .filter((path) => path === directory || path.startsWith(directory + sep))
    .reverse();
}

/** /proc/mounts writes spaces, tabs, line ends and backslashes as three octal digits. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

/** Process ids whose TMPDIR is `directory`, this process left out. */
export function processesUnder(directory: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((name) => readProcessFile(name, 'environ').split('\0').includes(`TMPDIR=${directory}`))
    .map(Number);
}

function readProcessFile(id: string, name: string): string {
  try {
    return readFileSync(`/proc/${id}/${name}`, 'latin1');
  } catch {
    return ''; // ended meanwhile, or another user's
  }
}

/** What is left now. */
export function findLeftovers(directory: string): Leftovers {
  const processes = processesUnder(directory).map((id) => {
    const command = readProcessFile(String(id), 'cmdline').replaceAll('\0', ' ').trim();
    return `${id}: ${command}`;
  });
  return { mounts: mountsBelow(directory), processes, files: readdirSync(directory) };
}

/**
 * Ends the processes, detaches the mounts and removes the directory; never goes into a mount that stays.
 *
 * @throws Error naming the mounts that could not be detached.
 */
export async function cleanUp(directory: string): Promise<void> {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    for (const id of processesUnder(directory)) killQuietly(id, signal);
    for (let attempt = 0; attempt < 20 && processesUnder(directory).length > 0; attempt++) await sleep(100);
  }
  for (const mountpoint of mountsBelow(directory)) detach(mountpoint);
  const stuck = mountsBelow(directory);
  if (stuck.length > 0) throw new Error(`cannot detach ${stuck.join(', ')}; run \`umount -l\` as root`);
  rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
}

function killQuietly(id: number, signal: NodeJS.Signals): void {
  try {
    process.kill(id, signal);
  } catch {
    // Ended meanwhile.
  }
}

function detach(mountpoint: string): void {
  const commands: [string, string[]][] = [
    ['umount', ['--lazy', mountpoint]],
    ['fusermount3', ['-u', '-z', mountpoint]],
  ];
  for (const [program, parameters] of commands) {
    try {
      execFileSync(program, parameters, { stdio: 'ignore' });
      return;
    } catch {
      // The next one may be allowed to.
    }
  }
}
