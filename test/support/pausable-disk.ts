/** A disk that can be made to hang: a file system of a process that is stopped. Only for root. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const pollMs = 10;
const diskProcess = fileURLToPath(new URL('./pausable-disk-process.ts', import.meta.url));

export interface PausableDisk {
  /** From then on whoever needs the disk waits. */
  pause(): Promise<void>;
  resume(): void;
  /** Answers everything and takes the disk away; also done at the end of the test. */
  remove(): Promise<void>;
}

/** Whether every thread of a process has stopped. */
async function isStopped(pid: number | undefined): Promise<boolean> {
  const threads = await readdir(`/proc/${pid}/task`);
  const lines = await Promise.all(threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/stat`, 'latin1')));
  return lines.every((line) => line.slice(line.lastIndexOf(')')).startsWith(') T '));
}

/** Makes both directories; what is done in `place` happens in `directory`. */
export async function startPausableDisk(t: TestContext, directory: string, place: string): Promise<PausableDisk> {
  for (const path of [directory, place]) await mkdir(path, { recursive: true });
  const child = spawn(process.execPath, [diskProcess, directory, place], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const disk = {
    async pause() {
      child.kill('SIGSTOP');
      // One that still runs would take a request, and who made it could not be ended.
      while (!(await isStopped(child.pid))) await delay(pollMs);
    },
    resume: () => void child.kill('SIGCONT'),
    async remove() {
      disk.resume();
      child.stdin.end();
      await exited;
    },
  };
  t.after(() => disk.remove());
  const [line] = await Promise.race([once(createInterface({ input: child.stdout }), 'line'), exited]);
  if (line !== 'served') throw new Error(`the disk ended with ${line}`);
  return disk;
}
