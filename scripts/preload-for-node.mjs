/**
 * Imported by every Node.js of a run under a sanitizer (`sanitizers.ts`): lets only further Node.js processes have the
 * library in LD_PRELOAD. Other programs that tests start are of no interest, and some do not run with it.
 */
import { ChildProcess } from 'node:child_process';
import process from 'node:process';

const library = process.env.LD_PRELOAD;
delete process.env.LD_PRELOAD;

const spawn = ChildProcess.prototype.spawn;
ChildProcess.prototype.spawn = function spawnPreloaded(options) {
  // Also behind a program that changes the user or a limit and then becomes Node.js.
  const isNode = options.file === process.execPath || options.args.includes(process.execPath);
  if (!isNode || library === undefined) return spawn.call(this, options);
  return spawn.call(this, { ...options, envPairs: [...options.envPairs, `LD_PRELOAD=${library}`] });
};
