/**
 * A million files in one mount (COVAULT_LONG_COUNT): looked up, read, made, moved and removed, within bounded memory and
 * descriptors.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { createProgress, longCount } from '../support/long-run.ts';
import { createSandbox, type MountDaemon } from '../support/mount-daemon.ts';
import { needsMount } from '../support/requirements.ts';

const execFileAsync = promisify(execFile);

const filesPerDirectory = 1000;
const directoriesCount = Math.ceil(longCount(1_000_000) / filesPerDirectory);
const filesCount = directoriesCount * filesPerDirectory;

/** What the daemon may need for a million files, all of them known to the kernel. */
const residentMiBMax = 200;

/** Below the mount, before there is one; a file holds its own path. */
function makeFiles(directory: string): void {
  const tell = createProgress('files made', filesCount);
  for (let i = 0; i < directoriesCount; i++) {
    mkdirSync(join(directory, String(i)));
    for (let j = 0; j < filesPerDirectory; j++) writeFileSync(join(directory, `${i}/${j}`), `${i}/${j}`);
    tell((i + 1) * filesPerDirectory);
  }
}

async function run(program: string, ...args: string[]): Promise<string> {
  process.stdout.write(`${program} ${args.join(' ')}\n`);
  return (await execFileAsync(program, args, { maxBuffer: 2 ** 26 })).stdout;
}

async function residentMiB(daemon: MountDaemon, when: string): Promise<number> {
  const mib = (await daemon.residentBytes()) / 2 ** 20;
  process.stdout.write(`${mib.toFixed(0)} MiB resident ${when}\n`);
  return mib;
}

test(`${filesCount} files are looked up, read, made and removed`, { skip: needsMount() }, async (t) => {
  const sandbox = await createSandbox(t);
  const { data } = sandbox;
  makeFiles(data);
  const daemon = await sandbox.mount({ dataDirectory: data, keepMutations: false });
  await residentMiB(daemon, 'at the start');

  // Sizes are asked for, so each file is looked up.
  const counted = await run('sh', '-c', `find "${data}" -type f -size -100c -printf '%i\\n' | sort -u | wc -l`);
  assert.equal(Number(counted), filesCount, 'each file has an inode number of its own');
  const { engine } = await daemon.counters();
  const known = engine?.inodes ?? 0;
  process.stdout.write(`${known} inodes known to the kernel\n`);
  const afterLookups = await residentMiB(daemon, 'with all files looked up');
  assert.ok(afterLookups < residentMiBMax, `${afterLookups} MiB`);

  for (const i of [0, 1, directoriesCount >> 1, directoriesCount - 1]) {
    const from = join(data, String(i));
    assert.equal(await readFile(join(from, '999'), 'utf8'), `${i}/999`);
    await rename(from, join(data, `moved-${i}`));
    assert.equal(await readFile(join(data, `moved-${i}/0`), 'utf8'), `${i}/0`);
    await rename(join(data, `moved-${i}`), from);
  }
  await mkdir(join(data, 'new'));
  const tell = createProgress('files made through the mount', filesCount / 10);
  for (let i = 0; i < filesCount / 10; i++) {
    await writeFile(join(data, `new/${i}`), '');
    tell(i);
  }
  await run('rm', '-rf', join(data, 'new'));

  for (let i = 0; i < directoriesCount; i += 100) {
    const directories = Array.from({ length: Math.min(100, directoriesCount - i) }, (_, j) =>
      join(data, String(i + j)),
    );
    await execFileAsync('rm', ['-rf', ...directories]);
  }
  assert.equal(await run('find', data, '-mindepth', '1'), '');
  await daemon.settle();
  assert.ok((await residentMiB(daemon, 'with all files removed')) < residentMiBMax);
  const after = await daemon.counters();
  assert.ok((after.engine?.inodes ?? 0) < 100, 'what was removed is forgotten');
  await daemon.unmount();
});
