/**
 * Names whatever this machine lacks, with the command that installs it, before anything else happens.
 *
 *   node scripts/requirements.mjs build    what it takes to build the addon
 *   node scripts/requirements.mjs mount    that, and what it takes to mount
 *
 * Plain JavaScript for the oldest Node that may run it, without any package: it runs before there are any.
 * Ends with status 0, or with 10 and one paragraph for each missing thing.
 */
import { accessSync, closeSync, constants, openSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { argv, env, exit, getuid, stderr, versions } from 'node:process';
import { pathToFileURL } from 'node:url';

/** The same number as `requirement` in src/core/exit-codes.ts, which this file cannot import. */
export const missingExitCode = 10;

export const oldestNode = 20;

/** Bit of CAP_SYS_ADMIN, without which root may not mount (containers). */
const sysAdminBit = 21n;

const installers = [
  { family: 'debian', names: ['debian', 'ubuntu'], command: 'apt-get update && apt-get install -y' },
  { family: 'fedora', names: ['fedora', 'rhel', 'centos'], command: 'dnf install -y' },
  { family: 'arch', names: ['arch'], command: 'pacman -S --needed' },
];

const packages = {
  'g++': { debian: 'g++', fedora: 'gcc-c++', arch: 'gcc' },
  make: { debian: 'make', fedora: 'make', arch: 'make' },
  python3: { debian: 'python3', fedora: 'python3', arch: 'python' },
  fusermount3: { debian: 'fuse3', fedora: 'fuse3', arch: 'fuse3' },
};

/**
 * What is missing for `level`, as `{ what, why, fix }` with whole sentences.
 *
 * @param {'build' | 'mount'} level
 * @param {{ nodeMajor: number, hasProgram(name: string): boolean, osRelease: string, isRoot: boolean,
 *           mayMount: boolean, fuseDevice: 'ok' | 'absent' | 'denied' }} machine
 */
export function missingRequirements(level, machine) {
  const missing = [];
  if (machine.nodeMajor < oldestNode) {
    missing.push({
      what: `Node.js ${oldestNode} or newer`,
      why: `this is Node.js ${machine.nodeMajor}`,
      fix: 'install a current one from https://nodejs.org/en/download',
    });
  }
  const programs = { 'g++': 'to build the addon', make: 'to build the addon', python3: 'to build the addon' };
  if (level === 'mount' && !machine.isRoot) programs.fusermount3 = 'for users other than root to mount';
  for (const [name, why] of Object.entries(programs)) {
    if (!machine.hasProgram(name)) missing.push({ what: name, why, fix: installCommand(name, machine.osRelease) });
  }
  if (level === 'mount') missing.push(...missingForMount(machine));
  return missing;
}

function missingForMount({ fuseDevice, isRoot, mayMount }) {
  if (fuseDevice === 'absent') {
    return [
      {
        what: '/dev/fuse',
        why: 'the kernel offers no FUSE here',
        fix: 'run `modprobe fuse` as root; for a container add `--device /dev/fuse --cap-add SYS_ADMIN`',
      },
    ];
  }
  if (fuseDevice === 'denied') {
    const fix = 'run `chmod a+rw /dev/fuse` as root';
    return [{ what: 'access to /dev/fuse', why: 'it may not be read and written by this user', fix }];
  }
  if (isRoot && !mayMount) {
    const fix = 'start the container with `--device /dev/fuse --cap-add SYS_ADMIN`';
    return [{ what: 'permission to mount', why: 'root has no CAP_SYS_ADMIN here', fix }];
  }
  return [];
}

/** The command for the system that `osRelease` (text of /etc/os-release) describes, or those for all known systems. */
export function installCommand(program, osRelease) {
  const names = [...osRelease.matchAll(/^(?:ID|ID_LIKE)="?([^"\n]*)"?$/gm)].flatMap((match) => match[1].split(' '));
  const here = installers.filter((installer) => installer.names.some((name) => names.includes(name)));
  return (here.length > 0 ? here : installers)
    .map(({ family, command }) => `${command} ${packages[program][family]}`)
    .map((command) => `run \`${command}\` as root`)
    .join(', or ');
}

function thisMachine() {
  return {
    nodeMajor: Number(versions.node.split('.')[0]),
    hasProgram,
    osRelease: readText('/etc/os-release'),
    isRoot: getuid() === 0,
    mayMount: (effectiveCapabilities() & (1n << sysAdminBit)) !== 0n,
    fuseDevice: fuseDevice(),
  };
}

function hasProgram(name) {
  return (env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder || '.', name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function effectiveCapabilities() {
  const line = /^CapEff:\s*([0-9a-f]+)$/m.exec(readText('/proc/self/status'));
  return line ? BigInt(`0x${line[1]}`) : 0n;
}

function fuseDevice() {
  try {
    closeSync(openSync('/dev/fuse', 'r+'));
    return 'ok';
  } catch (error) {
    return error.code === 'EACCES' || error.code === 'EPERM' ? 'denied' : 'absent';
  }
}

function readText(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function main(level) {
  if (level !== 'build' && level !== 'mount') {
    stderr.write('usage: requirements.mjs build|mount\n');
    return 2;
  }
  const missing = missingRequirements(level, thisMachine());
  if (missing.length === 0) return 0;
  stderr.write(`Covault cannot ${level === 'build' ? 'be built' : 'run'} here yet:\n`);
  for (const { what, why, fix } of missing) stderr.write(`\n  missing: ${what} (${why})\n  hint: ${fix}\n`);
  stderr.write('\n');
  return missingExitCode;
}

if (argv[1] && import.meta.url === pathToFileURL(argv[1]).href) exit(main(argv[2]));
