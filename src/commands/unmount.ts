/** `covault unmount MOUNTPOINT`: ends a mount of Covault, live or browsed. */
import { realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CovaultError, isCovaultError, systemErrorCode } from '../core/errors.ts';
import { exitCodes } from '../core/exit-codes.ts';
import { deviceOfMount, findMounter } from '../fs/mounting.ts';
import { type Call, type Command, flagOption, parameter, stateDirectoryOf, stateOption } from './command.ts';
import { askDaemon } from './control.ts';

/** How often the daemon is asked whether it is still there. */
const pollMs = 50;
/** A daemon that takes longer to end is left to itself. */
const daemonEndMsMax = 60_000;

export const unmountCommand: Command = {
  name: 'unmount',
  summary: 'end a mount',
  description:
    'Everything written is flushed first. The daemon then indexes what it has, closes its index and ends; if it is the ' +
    'one of this state directory, the command waits for that.',
  parameters: [{ name: 'MOUNTPOINT', summary: 'where it is mounted' }],
  options: [
    { flags: '--lazy', summary: 'also while it is in use: it leaves its place at once, and open files soon fail' },
    stateOption,
  ],
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
    const isDaemonOurs = await servesFrom(stateDirectoryOf(call), mountpoint);
    await (await findMounter(undefined)).unmount(mountpoint, flagOption(call, 'lazy'));
    if (isDaemonOurs) await waitForDaemon(call);
    return { result: { type: 'unmounted', mountpoint }, lines: [`${mountpoint} is unmounted`] };
  },
};

/** Without symlinks, like the list of mounts; works for a mount whose daemon is dead. */
async function resolveMountpoint(text: string): Promise<string> {
  const path = resolve(text);
  try {
    return await realpath(path);
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOTCONN') return path;
    return join(await realpath(dirname(path)), basename(path));
  }
}

async function servesFrom(stateDirectory: string, mountpoint: string): Promise<boolean> {
  try {
    return (await askDaemon(stateDirectory, 'status')).mountpoint === mountpoint;
  } catch (error) {
    if (isCovaultError(error)) return false;
    throw error;
  }
}

async function waitForDaemon(call: Call): Promise<void> {
  const endMs = call.clock.monotonicMs() + daemonEndMsMax;
  while (call.clock.monotonicMs() < endMs) {
    call.signal.throwIfAborted();
    try {
      await askDaemon(stateDirectoryOf(call), 'status');
    } catch (error) {
      if (isCovaultError(error, 'E_NOT_FOUND')) return;
      // It is closing: ask once more.
    }
    await delay(pollMs);
  }
  throw new CovaultError('E_MOUNT', 'the mount is gone, but its daemon has not ended yet', {
    hint: 'look at what it logs',
  });
}
