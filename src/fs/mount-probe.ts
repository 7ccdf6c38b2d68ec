/**
 * Asks the server of a mount whether it is there, from a process of its own: a request that was handed to a stopped
 * server holds up whoever sent it, and not even a signal ends that.
 */
import { spawn } from 'node:child_process';

/** How long a living server may take to answer, milliseconds. */
const answerMs = 5000;

/** STATFS is never answered from what the kernel remembers. Prints the code of the error, or nothing. */
const question = `
  try { require('node:fs').statfsSync(process.argv[1]); } catch (error) { process.stdout.write(String(error.code)); }`;

/** What the server of the mount at `place` answers: the code of an error, "" for none; undefined if it does not answer. */
export function askServer(place: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['-e', question, place], { stdio: ['ignore', 'pipe', 'ignore'] });
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    const timer = setTimeout(() => {
      // It may be beyond being killed, so nobody waits for it.
      child.kill('SIGKILL');
      child.unref();
      child.stdout.destroy();
      resolve(undefined);
    }, answerMs);
    child.once('error', () => {
      clearTimeout(timer);
      resolve(undefined);
    });
    child.once('close', () => {
      clearTimeout(timer);
      resolve(said);
    });
  });
}
