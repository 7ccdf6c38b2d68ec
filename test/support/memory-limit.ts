/** Groups of processes that may use only so much memory, their page cache included. Only for root. */
import { existsSync } from 'node:fs';
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { needsFileSystem } from './file-systems.ts';

const hierarchies = [
  { root: '/sys/fs/cgroup/memory', probe: 'memory.limit_in_bytes', limit: 'memory.limit_in_bytes' },
  { root: '/sys/fs/cgroup', probe: 'cgroup.controllers', limit: 'memory.max' },
];
const hierarchy = hierarchies.find(({ root, probe }) => existsSync(join(root, probe)));

/** For `skip`: why memory cannot be limited here, or false. */
export function needsMemoryLimit(): false | string {
  return needsFileSystem() || (hierarchy ? false : 'there is no memory controller (cgroup) here');
}

/** Makes a group; the function that is returned moves a process into it. The group goes when the test ends. */
export async function limitMemory(t: TestContext, bytes: number): Promise<(pid: number) => Promise<void>> {
  if (!hierarchy) throw new Error('there is no memory controller');
  const group = join(hierarchy.root, `covault-test-${process.pid}`);
  await mkdir(group);
  t.after(async () => {
    for (const pid of (await readFile(join(group, 'cgroup.procs'), 'utf8')).split('\n').filter(Boolean)) {
      await writeFile(join(hierarchy.root, 'cgroup.procs'), pid).catch(() => undefined);
    }
    await rmdir(group);
  });
  await writeFile(join(group, hierarchy.limit), String(bytes));
  return (pid) => writeFile(join(group, 'cgroup.procs'), String(pid));
}
