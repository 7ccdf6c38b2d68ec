/** What tests need of the machine: each gives false if it is there, else why the test cannot run, for `skip`. */

import { execFileSync } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ordinaryUser } from './mount-daemon.ts';

type Missing = false | string;

const isRoot = process.geteuid?.() === 0;

export function needsRoot(): Missing {
  return isRoot ? false : 'only root can do this';
}

/** Mounting as the user who runs the tests. */
export function needsMount(): Missing {
  try {
    accessSync('/dev/fuse', isRoot ? constants.R_OK | constants.W_OK : constants.F_OK);
  } catch {
    return 'there is no /dev/fuse here';
  }
  if (isRoot) return maySysAdmin() ? false : 'this root may not mount (no CAP_SYS_ADMIN)';
  return needsFusermount();
}

/** The transport over io_uring: root switches it on for the whole machine (`fuse.enable_uring`). */
export function needsIoUring(): Missing {
  try {
    if (readFileSync('/sys/module/fuse/parameters/enable_uring', 'utf8').startsWith('Y')) return needsMount();
  } catch {
    // This kernel does not have it.
  }
  return 'the kernel does not offer FUSE over io_uring now';
}

/** Mounting as an ordinary user, from tests that run as root. */
export function needsMountAsUser(): Missing {
  if (needsRoot() || needsMount()) return needsRoot() || needsMount();
  if (needsFusermount()) return needsFusermount();
  const project = fileURLToPath(new URL('../..', import.meta.url));
  if (!mayAsUser('-r', join(project, 'package.json'))) return 'an ordinary user cannot read this directory';
  if (!mayAsUser('-w', '/dev/fuse')) return 'an ordinary user may not use /dev/fuse (chmod a+rw /dev/fuse)';
  return false;
}

/** @param test an option of test(1). */
function mayAsUser(test: '-r' | '-w', path: string): boolean {
  const { uid, gid } = ordinaryUser;
  try {
    execFileSync('setpriv', [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', 'test', test, path]);
    return true;
  } catch {
    return false;
  }
}

function needsFusermount(): Missing {
  const found = (process.env.PATH ?? '').split(':').some((directory) => {
    try {
      accessSync(`${directory}/fusermount3`, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
  return found ? false : 'fusermount3 is not installed (apt install fuse3)';
}

/** Capability 21, with which root may mount. */
function maySysAdmin(): boolean {
  const line = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'));
  return line !== null && (BigInt(`0x${line[1]}`) & (1n << 21n)) !== 0n;
}
