/** Mounting as an ordinary user, through fusermount3. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import {
  createSandbox,
  type DaemonOptions,
  mountsWithin,
  ordinaryUser,
  type Sandbox,
} from '../support/mount-daemon.ts';
import { needsMountAsUser } from '../support/requirements.ts';

const execFileAsync = promisify(execFile);
const skip = needsMountAsUser();
const { uid, gid } = ordinaryUser;

/** Runs a shell command as the ordinary user: nobody else, root included, may enter that user's mount. */
async function asUser(script: string): Promise<string> {
  const args = [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', 'sh', '-ec', script];
  return (await execFileAsync('setpriv', args)).stdout;
}

function mountAsUser(sandbox: Sandbox, options: Partial<DaemonOptions> = {}) {
  return sandbox.mount({ dataDirectory: sandbox.data, user: ordinaryUser, ...options });
}

test('an ordinary user mounts in place, works there and unmounts', { skip }, async (t) => {
  const sandbox = await createSandbox(t, ordinaryUser);
  const daemon = await mountAsUser(sandbox);
  assert.deepEqual(await mountsWithin(sandbox.path), [sandbox.data]);
  const shown = await asUser(
    `cd ${sandbox.data}; echo content > file; ln file linked; mv file moved; cat moved; stat -c %h-%u moved`,
  );
  assert.equal(shown, `content\n2-${uid}\n`);
  const kinds = (await daemon.settle()).map(({ kind }) => kind).filter((kind) => kind !== 'attributes');
  assert.deepEqual(kinds, ['create', 'content', 'link', 'rename']);
  await daemon.unmount();
  assert.deepEqual(await mountsWithin(sandbox.path), []);
  assert.equal(await readFile(join(sandbox.data, 'moved'), 'utf8'), 'content\n');
  assert.equal((await stat(join(sandbox.data, 'moved'))).uid, uid);
});

test('an ordinary user mounts elsewhere', { skip }, async (t) => {
  const sandbox = await createSandbox(t, ordinaryUser);
  const at = join(sandbox.path, 'at');
  await asUser(`mkdir ${at}`);
  await mountAsUser(sandbox, { at });
  await asUser(`mkdir ${at}/d; echo x > ${at}/d/f`);
  assert.deepEqual(await readdir(sandbox.data), ['d']);
});

test("an ordinary user's mount whose daemon was killed is mounted again", { skip }, async (t) => {
  const sandbox = await createSandbox(t, ordinaryUser);
  const killed = await mountAsUser(sandbox);
  await asUser(`echo kept > ${sandbox.data}/file`);
  await killed.kill('SIGKILL');
  await mountAsUser(sandbox);
  assert.equal(await asUser(`cat ${sandbox.data}/file`), 'kept\n');
});

test('unmounting says that it is in use, for ordinary users too', { skip }, async (t) => {
  const sandbox = await createSandbox(t, ordinaryUser);
  const daemon = await mountAsUser(sandbox);
  const holder = asUser(`exec 3> ${sandbox.data}/busy; echo held > ${sandbox.path}/ready; sleep 2`);
  while (!(await readdir(sandbox.path)).includes('ready')) await new Promise((resolve) => setTimeout(resolve, 20));
  await assert.rejects(daemon.unmount(), { code: 'E_MOUNT', message: /in use/ });
  await holder;
  await daemon.unmount();
  assert.deepEqual(await mountsWithin(sandbox.path), []);
});

test('a process of an ordinary user that ends without unmounting detaches', { skip }, async (t) => {
  const sandbox = await createSandbox(t, ordinaryUser);
  const daemon = await mountAsUser(sandbox, { dataMode: 'writeback' });
  await asUser(`head -c 300000 /dev/zero > ${sandbox.data}/file`);
  await daemon.exitWithoutUnmount();
  assert.deepEqual(await mountsWithin(sandbox.path), []);
  assert.equal((await stat(join(sandbox.data, 'file'))).size, 300_000);
});

test('a missing fusermount3 is named with the command that installs it', { skip }, async (t) => {
  const sandbox = await createSandbox(t, ordinaryUser);
  await assert.rejects(mountAsUser(sandbox, { searchPath: '/nowhere' }), {
    code: 'E_REQUIREMENT',
    message: /fusermount3/,
    hint: 'apt install fuse3',
  });
});

test('what fusermount3 refuses is told in its words', { skip }, async (t) => {
  const sandbox = await createSandbox(t, ordinaryUser);
  const at = join(sandbox.path, 'not-mine');
  await mkdir(at);
  await assert.rejects(mountAsUser(sandbox, { at }), {
    code: 'E_MOUNT',
    message: /cannot be mounted: .*fusermount3.*not-mine/s,
  });
});
