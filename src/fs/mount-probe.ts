/**
 * Asks the server of a mount whether it is there, from a process of its own: a request that was handed to a stopped
 * server holds up whoever sent it, and not even a signal ends that.
 */
import { spawn } from 'node:child_process';

/** How long a living server may take to answer, milliseconds. */
const answerMs = 5000;

/** What the server of the mount at `place` answers: the code of an error, "" for none; undefined if it does not answer. */
export function askServer(place: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    // STATFS is never answered from what the kernel remembers. Uncaught, the error is told with its code.
    const question = `require('node:fs').statfsSync(${JSON.stringify(place)})`;
    const child = spawn(process.execPath, ['-e', question], { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    const timer = setTimeout(() => {
      // It may be beyond being killed, so nobody waits for it.
      child.kill('SIGKILL');
      child.unref();
      child.stderr.destroy();
      resolve(undefined);
    }, answerMs);
    child.once('error', () => {
      clearTimeout(timer);
      resolve(undefined);
    });
    child.once('close', () => {
      clearTimeout(timer);
      resolve(/\bcode: '([A-Z0-9]+)'/.exec(said)?.[1] ?? '');
    });
  });
}
