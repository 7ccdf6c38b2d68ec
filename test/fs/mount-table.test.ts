/** Reading the kernel's list of mounts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWithin, mountAt, mountContaining, parseMountTable, readMountTable } from '../../src/fs/mount-table.ts';

const table = parseMountTable(
  [
    '22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,errors=remount-ro',
    '30 22 0:25 / /scratch rw,nosuid,nodev shared:2 master:1 - tmpfs tmpfs rw',
    '42 30 0:39 / /scratch/with\\040space\\134\\011\\012 rw,relatime - fuse.covault covault rw,user_id=0',
    '43 30 0:40 / /scratch/\xc3\xa4 ro - fuse.covault covault ro',
    '44 42 0:41 /sub /scratch/with\\040space\\134\\011\\012 ro,noexec - fuse.sshfs host:/a\\040b rw',
    'not a line of it',
    '',
  ].join('\n'),
);

test('lines are taken apart, whatever optional fields they have', () => {
  assert.equal(table.length, 5);
  assert.deepEqual(table[1], {
    device: '0:25',
    mountpoint: '/scratch',
    options: ['rw', 'nosuid', 'nodev'],
    type: 'tmpfs',
    source: 'tmpfs',
  });
  assert.equal(table[4]?.source, 'host:/a b');
});

test('escaped and non-ASCII names are read as they are', () => {
  assert.equal(table[2]?.mountpoint, '/scratch/with space\\\t\n');
  assert.equal(table[3]?.mountpoint, '/scratch/ä');
});

test('of several mounts at one place the last one is uppermost', () => {
  assert.equal(mountAt(table, '/scratch/with space\\\t\n')?.device, '0:41');
  assert.equal(mountAt(table, '/scratch/with'), undefined);
});

test('a path is on the mount with the longest mountpoint above it', () => {
  const on = (path: string) => mountContaining(table, path)?.device;
  assert.deepEqual(
    [
      on('/'),
      on('/var/scratch'),
      on('/scratch'),
      on('/scratch/x'),
      on('/scratch/ä/deep'),
      on('/scratch/äx'),
      on('/scratch/with space\\\t\n/x'),
    ],
    ['254:0', '254:0', '0:25', '0:25', '0:40', '0:25', '0:41'],
  );
});

test('a directory contains itself and what is below it, not its neighbours', () => {
  assert.ok(isWithin('/a/b', '/a/b') && isWithin('/a/b/c', '/a/b') && isWithin('/a', '/'));
  assert.ok(!isWithin('/a/bc', '/a/b') && !isWithin('/a', '/a/b'));
});

test('the list of this machine has a root', async () => {
  assert.ok(mountAt(await readMountTable(), '/'));
});
