/** `covault browse STORE MOUNTPOINT`: shows a store as a read-only tree. */
import { resolve } from 'node:path';
import { type BrowseSession, browseStore } from '../browse/serve-browse.ts';
import { exitCodes } from '../core/exit-codes.ts';
import { type Call, type Command, parameter } from './command.ts';
import { aborted } from './interruption.ts';
import { passwordOptions } from './password.ts';
import { openExistingStore } from './store-access.ts';

export const browseCommand: Command = {
  name: 'browse',
  summary: 'mount a store as a read-only tree',
  description:
    'Shows CLIENT/TIME/… with everything as it was at that moment (UTC), and CLIENT/latest. New snapshots appear by ' +
    'themselves. Runs until it is stopped or unmounted.',
  parameters: [
    { name: 'STORE', summary: 'the directory of the store' },
    { name: 'MOUNTPOINT', summary: 'an empty directory' },
  ],
  options: [...passwordOptions],
  exitCodes: [
    exitCodes.notFound,
    exitCodes.denied,
    exitCodes.corrupt,
    exitCodes.io,
    exitCodes.mount,
    exitCodes.requirement,
  ],
  examples: [['covault browse /backups/vault /mnt', 'then look into /mnt/laptop/latest']],
  async run(call) {
    const store = await openExistingStore(call, parameter(call, 0));
    try {
      const session = await browseStore({
        reader: store,
        mountpoint: parameter(call, 1),
        keepOut: [resolve(parameter(call, 0))],
        clock: call.clock,
        onProblem: (message) => call.log.error({}, message),
      });
      announce(call, session);
      await Promise.race([session.closed, aborted(call.signal)]);
      await session.unmount({ lazy: true });
    } finally {
      await store.close();
    }
    call.signal.throwIfAborted();
    return { result: { type: 'unmounted' }, lines: [] };
  },
};

function announce(call: Call, { mountpoint, through }: BrowseSession): void {
  call.announce({ type: 'ready', mountpoint, through, pid: process.pid }, [
    `The store can be browsed at ${mountpoint}`,
    'Stop it with Ctrl-C, or with covault unmount from elsewhere',
  ]);
}
