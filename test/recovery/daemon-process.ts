/**
 * A daemon to be killed: mounts within the directory in its first argument, in the data mode of its second, and makes one
 * cut after the other. Says `ready` when it is mounted.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { isCovaultError } from '../../src/core/errors.ts';
import type { DataMode } from '../../src/fs/session.ts';
import { CutMount } from '../cuts/cut-mount.ts';

const [, , directory = '', dataMode = ''] = process.argv;

const mount = await CutMount.open(directory, dataMode as DataMode);
process.send?.('ready');
for (;;) {
  try {
    const snapshot = await mount.hold();
    await delay(20);
    await snapshot.close();
  } catch (error) {
    if (!isCovaultError(error, 'E_BUSY')) throw error;
  }
}
