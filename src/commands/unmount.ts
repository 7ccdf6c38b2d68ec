/** `covault unmount MOUNTPOINT`: ends a mount of Covault, live or browsed. */
import { realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CovaultError, isCovaultError, systemErrorCode } from '../core/errors.ts';
import { exitCodes } from '../core/exit-codes.ts';
import { askServer } from '../fs/mount-probe.ts';
import { deviceOfMount, findMounter } from '../fs/mounting.ts';
import { type Call, type Command, flagOption, parameter, stateDirectoryOf, stateOption } from './command.ts';
import { askDaemon } from './control.ts';

/** How often the daemon is asked whether it is still there. */
const pollMs = 50;
/** A daemon that takes longer to end is left to itself. */
const daemonEndMsMax = 60_000;
/** How long the process of a daemon may take to go after its socket has gone: it gives up threads that wait for a disk. */
const processEndMsMax = 30_000;

export const unmountCommand: Command = {
  name: 'unmount',
  summary: 'end a mount',
  description:
    'Everything written is flushed first. The daemon then indexes what it has, closes its index and ends; if it is the ' +
    'one of this state directory, the command waits for that.',
  parameters: [{ name: 'MOUNTPOINT', summary: 'where it is mounted' }],
  options: [{ flags: '--lazy', summary: 'also if it is in use or its disk hangs; open files soon fail' }, stateOption],
  exitCodes: [exitCodes.notFound, exitCodes.mount, exitCodes.requirement],
  examples: [['covault unmount ~/documents', 'and the plain directory is there again']],
  async run(call) {
    const mountpoint = await resolveMountpoint(parameter(call, 0));
    const device = await deviceOfMount(mountpoint);
    if (device === undefined) {
      throw new CovaultError('E_NOT_FOUND', `no covault mount is at ${mountpoint}`, {
        hint: 'see all with `findmnt --types fuse.covault`',
      });
    }
    const isLazy = flagOption(call, 'lazy');
    const daemon = await findDaemon(stateDirectoryOf(call), mountpoint);
    // The daemon knows whether its data directory answers, and ends what is open after a moment.
    if (daemon !== undefined && isLazy) await endDaemon(call, { daemon, mountpoint, device });
    else await unmountHere(mountpoint, isLazy);
    if (daemon !== undefined) await waitForDaemon(call, daemon);
    return { result: { type: 'unmounted', mountpoint }, lines: [`${mountpoint} is unmounted`] };
  },
};

/**
 * Without symlinks, like the list of mounts. A mount is not touched: its daemon may be dead, or wait for a data directory
 * that hangs.
 */
async function resolveMountpoint(text: string): Promise<string> {
  const path = resolve(text);
  if ((await deviceOfMount(path)) !== undefined) return path;
  const parent = await realpath(dirname(path)).catch(() => dirname(path));
  const unresolved = join(parent, basename(path));
  if ((await deviceOfMount(unresolved)) !== undefined) return unresolved;
  return realpath(path).catch(() => path);
}

/** The process of this state directory's daemon if it serves that mount. */
async function findDaemon(stateDirectory: string, mountpoint: string): Promise<number | undefined> {
  try {
    const status = await askDaemon(stateDirectory, 'status');
    return status.mountpoint === mountpoint ? Number(status.pid) : undefined;
  } catch (error) {
    if (isCovaultError(error)) return undefined;
    throw error;
  }
}

/** A mount whose server does not answer would hold up whoever flushes it, beyond being killed. */
async function unmountHere(mountpoint: string, isLazy: boolean): Promise<void> {
  const mounter = await findMounter(undefined);
  if ((await askServer(mountpoint)) !== undefined) return mounter.unmount(mountpoint, isLazy);
  if (isLazy) return mounter.abandon(mountpoint);
  throw new CovaultError('E_MOUNT', `the server of ${mountpoint}, or its disk, does not answer`, {
    hint: '`covault unmount --lazy` takes the mount away all the same; what was not written yet is lost',
  });
}

/** Has the daemon take its mount away, and does it instead if it cannot. */
async function endDaemon(
  call: Call,
  { daemon, mountpoint, device }: { daemon: number; mountpoint: string; device: string },
): Promise<void> {
  await askDaemon(stateDirectoryOf(call), 'stop');
  const isMounted = async () => (await deviceOfMount(mountpoint)) === device;
  await waitUntil(call, daemonEndMsMax, async () => !(await isMounted()) || !isProcessThere(daemon));
  if (await isMounted()) await unmountHere(mountpoint, true);
}

async function waitForDaemon(call: Call, daemon: number): Promise<void> {
  const hasEnded = await waitUntil(call, daemonEndMsMax, async () => {
    try {
      await askDaemon(stateDirectoryOf(call), 'status');
      return false;
    } catch (error) {
      // Any other error: it is closing, and is asked once more.
      return isCovaultError(error, 'E_NOT_FOUND');
    }
  });
  if (hasEnded && (await waitUntil(call, processEndMsMax, async () => !isProcessThere(daemon)))) return;
  throw new CovaultError('E_MOUNT', `the mount is gone, but its daemon, process ${daemon}, has not ended yet`, {
    hint: 'if its disk does not answer, it ends when the disk does, and not before, whoever kills it',
  });
}

async function waitUntil(call: Call, limitMs: number, isSo: () => Promise<boolean>): Promise<boolean> {
  const endMs = call.clock.monotonicMs() + limitMs;
  while (call.clock.monotonicMs() < endMs) {
    call.signal.throwIfAborted();
    if (await isSo()) return true;
    await delay(pollMs);
  }
  return false;
}

function isProcessThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemErrorCode(error) === 'EPERM';
  }
}
