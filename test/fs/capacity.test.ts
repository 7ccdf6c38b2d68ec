/** Many files under few descriptors. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { createSandbox, ordinaryUser } from '../support/mount-daemon.ts';
import { needsMount, needsMountAsUser } from '../support/requirements.ts';

const execFileAsync = promisify(execFile);

const directoriesCount = 150;
const filesPerDirectory = 200;
const filesCount = directoriesCount * filesPerDirectory;
const openFilesMax = 2000;

/** Below the mount, before there is one. */
function makeFiles(directory: string): void {
  for (let i = 0; i < directoriesCount; i++) {
    mkdirSync(join(directory, String(i)));
    for (let j = 0; j < filesPerDirectory; j++) writeFileSync(join(directory, `${i}/${j}`), `${i}/${j}`);
  }
}

const kinds = [
  { who: 'as the own user', skip: needsMount(), user: undefined },
  { who: 'as an ordinary user', skip: needsMountAsUser(), user: ordinaryUser },
];

for (const { who, skip, user } of kinds) {
  test(`30,000 files are walked and read under a limit of 2,000 descriptors (${who})`, {
    skip,
    timeout: 120_000,
  }, async (t) => {
    const sandbox = await createSandbox(t, user);
    makeFiles(sandbox.data);
    if (user) await execFileAsync('chown', ['-R', `${user.uid}:${user.gid}`, sandbox.data]);
    const daemon = await sandbox.mount({ dataDirectory: sandbox.data, openFilesMax, ...(user ? { user } : {}) });
    const asUser = user ? ['setpriv', `--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups'] : [];
    const run = async (...command: string[]) => {
      const [program, ...args] = [...asUser, ...command];
      return (await execFileAsync(program as string, args, { maxBuffer: 2 ** 26 })).stdout;
    };
    // Sizes come from attributes: each file is looked up.
    const found = (await run('find', sandbox.data, '-type', 'f', '-size', '-100c', '-printf', '%i\n'))
      .trim()
      .split('\n');
    assert.equal(new Set(found).size, filesCount, 'each file has an inode number of its own');
    const read = await run('sh', '-c', `cd "${sandbox.data}" && find . -type f -newermt 2000-01-01 -exec cat {} +`);
    assert.ok(read.length >= filesCount * 3);
    const { engine } = await daemon.counters();
    assert.ok((await daemon.openFiles()) < openFilesMax);
    assert.ok((engine?.inodes ?? 0) > openFilesMax, 'the kernel knows more inodes than there may be descriptors');
    assert.equal(await run('cat', join(sandbox.data, '149/199')), '149/199');
    assert.equal(await run('cat', join(sandbox.data, '0/0')), '0/0');
  });
}

test('more files than descriptors may be unlinked while they are open elsewhere', { skip: needsMount() }, async (t) => {
  const sandbox = await createSandbox(t);
  const daemon = await sandbox.mount({ dataDirectory: sandbox.data, openFilesMax: 300 });
  const files = [];
  try {
    for (let i = 0; i < 100; i++) {
      const file = await open(join(sandbox.data, String(i)), 'w+');
      files.push(file);
      await file.write(`content ${i}`);
      await rm(join(sandbox.data, String(i)));
    }
    for (const [i, file] of files.entries()) {
      const buffer = Buffer.alloc(100);
      const { bytesRead } = await file.read(buffer, 0, 100, 0);
      assert.equal(buffer.toString('utf8', 0, bytesRead), `content ${i}`);
    }
  } finally {
    await Promise.all(files.map((file) => file.close()));
  }
  await daemon.settle();
  assert.ok((await daemon.openFiles()) < 300);
  await assert.rejects(readFile(join(sandbox.data, '0')), { code: 'ENOENT' });
});
