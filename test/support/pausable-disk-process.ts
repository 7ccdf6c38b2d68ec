/**
 * Serves DIRECTORY at PLACE as a file system of its own, until its stdin closes. Stopped by SIGSTOP, it is a disk that
 * hangs: whoever needs it waits. Only for root.
 *
 *   node pausable-disk-process.ts DIRECTORY PLACE  →  a line when it is there
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants, openSync } from 'node:fs';
import { loadAddon } from '../../src/fs/addon.ts';

const [directory = '', place = ''] = process.argv.slice(2);
const addon = loadAddon();
const directoryFd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
const fuseFd = openSync('/dev/fuse', 'r+');
const options = 'fd=3,rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other';
// By mount(8), for the addon mounts what counts as Covault's and therefore not as somebody's disk.
const mounting = spawn('mount', ['-i', '-t', 'fuse.pausable', '-o', options, 'pausable', place], {
  stdio: ['ignore', 'inherit', 'inherit', fuseFd],
});
const [status] = await once(mounting, 'exit');
if (status !== 0) throw new Error(`mount ended with ${status}`);
const log = new addon.MutationLog({ rootInode: 1n }, () => undefined);
const session = new addon.Session(
  { fuseFd, mountpoint: place, helper: '', transport: 'device', directoryFd, dataMode: 'write-through', log },
  () => process.exit(0),
);
const problem = await session.start();
if (problem !== '') throw new Error(problem);
process.stdout.write('served\n');
process.stdin.resume();
process.stdin.once('close', () => {
  session.close();
  process.exit(0);
});
