/** Makes and ends FUSE mounts: directly as root, through `fusermount3` as anybody else. */
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { CovaultError, systemErrorCode } from '../core/errors.ts';
import { loadAddon, type UnmountWay } from './addon.ts';
import { findFusermount, mountWithHelper, unmountWithHelper } from './fusermount.ts';
import { covaultMountType, mountAt, readMountTable } from './mount-table.ts';

export interface MountRestrictions {
  readOnly: boolean;
  noSuid: boolean;
  noDevices: boolean;
  noExecution: boolean;
}

export interface MountForm {
  restrictions: MountRestrictions;
  /**
   * Whoever may mount here may read everything: an ordinary user's mount is then for that user alone and asks for no
   * permissions. Otherwise, and always as root, the kernel checks owners and modes for everybody.
   */
  ownersDoNotMatter: boolean;
}

/** How this process mounts. */
export interface Mounter {
  /** Path of `fusermount3`; empty for root, who needs none. */
  helper: string;
  /**
   * Mounts; the descriptor of /dev/fuse belongs to the caller. Until somebody answers it, whoever touches the mount
   * waits.
   *
   * @throws CovaultError `E_MOUNT` or `E_REQUIREMENT`.
   */
  mount(mountpoint: string, form: MountForm): Promise<number>;
  /**
   * @param lazy detach at once; the mount ends when its last user has gone.
   * @throws CovaultError `E_MOUNT`, also if it is in use.
   */
  unmount(mountpoint: string, lazy: boolean): Promise<void>;
  /**
   * Takes away a mount whose data directory does not answer any more, with what was not written to it. What waits for it
   * fails at once as root, and otherwise when its daemon has ended.
   *
   * @throws CovaultError `E_MOUNT`.
   */
  abandon(mountpoint: string): Promise<void>;
}

/** @throws CovaultError `E_REQUIREMENT` if this user cannot mount here. */
export async function findMounter(searchPath: string | undefined): Promise<Mounter> {
  if (process.geteuid?.() === 0) {
    const unmount = (mountpoint: string, lazy: boolean) => unmountAsRoot(mountpoint, lazy ? 'lazy' : 'unused');
    const abandon = (mountpoint: string) => unmountAsRoot(mountpoint, 'aborted');
    return { helper: '', mount: mountAsRoot, unmount, abandon };
  }
  const helper = await findFusermount(searchPath);
  return {
    helper,
    mount: async (mountpoint, form) => mountWithHelper(helper, mountpoint, await helperOptions(form)),
    unmount: async (mountpoint, lazy) => {
      if (!(await unmountWithHelper(helper, mountpoint, lazy))) throw busy(mountpoint);
    },
    abandon: async (mountpoint) => {
      await unmountWithHelper(helper, mountpoint, true);
    },
  };
}

/** Device number ("major:minor") of Covault's mount at this place, or undefined if none is uppermost there. */
export async function deviceOfMount(mountpoint: string): Promise<string | undefined> {
  const entry = mountAt(await readMountTable(), mountpoint);
  return entry?.type === covaultMountType ? entry.device : undefined;
}

async function mountAsRoot(mountpoint: string, { restrictions }: MountForm): Promise<number> {
  const addon = loadAddon();
  const fd = openFuseDevice();
  const set = (name: keyof MountRestrictions) => (restrictions[name] ? addon.mountFlags[name] : 0);
  const flags = set('readOnly') | set('noSuid') | set('noDevices') | set('noExecution');
  const options = `fd=${fd},rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other`;
  try {
    await addon.mountFuse(mountpoint, flags, options);
    return fd;
  } catch (cause) {
    closeSync(fd);
    const hint =
      systemErrorCode(cause) === 'EPERM' ? 'a container needs the capability CAP_SYS_ADMIN to mount' : undefined;
    throw new CovaultError('E_MOUNT', `${mountpoint} cannot be mounted (${systemErrorCode(cause)})`, {
      cause,
      ...(hint ? { hint } : {}),
    });
  }
}

async function unmountAsRoot(mountpoint: string, how: UnmountWay): Promise<void> {
  try {
    await loadAddon().unmountFuse(mountpoint, how);
  } catch (cause) {
    const code = systemErrorCode(cause);
    if (code === 'EBUSY') throw busy(mountpoint);
    throw new CovaultError('E_MOUNT', `${mountpoint} cannot be unmounted (${code})`, { cause });
  }
}

function busy(mountpoint: string): CovaultError {
  return new CovaultError('E_MOUNT', `${mountpoint} is in use`, {
    hint: `end the programs that use it (\`fuser -vm ${mountpoint}\` lists them) and try again`,
  });
}

function openFuseDevice(): number {
  try {
    return openSync('/dev/fuse', 'r+');
  } catch (cause) {
    throw new CovaultError('E_REQUIREMENT', `/dev/fuse cannot be opened (${systemErrorCode(cause)})`, {
      cause,
      hint: 'run `modprobe fuse` as root; a container needs `--device /dev/fuse --cap-add SYS_ADMIN`',
    });
  }
}

/** `allow_other` only where the administrator lets users give it; otherwise the mount is for its user alone. */
async function helperOptions({ restrictions, ownersDoNotMatter }: MountForm): Promise<string> {
  const options = ['fsname=covault', 'subtype=covault'];
  if (restrictions.readOnly) options.push('ro');
  if (restrictions.noExecution) options.push('noexec');
  if (ownersDoNotMatter) return options.join(',');
  options.push('default_permissions');
  const configuration = await readFile('/etc/fuse.conf', 'utf8').catch(() => '');
  if (/^\s*user_allow_other\s*$/m.test(configuration)) options.push('allow_other');
  return options.join(',');
}
