/** What a person is told on a machine that lacks something. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { exitCodes } from '../../src/core/exit-codes.ts';

const scriptPath = fileURLToPath(new URL('../../scripts/requirements.mjs', import.meta.url));
const { installCommand, missingExitCode, missingRequirements } = await import(scriptPath);

const complete = {
  nodeMajor: 24,
  hasProgram: () => true,
  osRelease: 'ID=debian\n',
  isRoot: true,
  mayMount: true,
  fuseDevice: 'ok',
};

function whatIsMissing(level: string, change: object): string[] {
  return missingRequirements(level, { ...complete, ...change }).map(({ what }: { what: string }) => what);
}

test('nothing is missing on a complete machine', () => {
  assert.deepEqual(whatIsMissing('build', {}), []);
  assert.deepEqual(whatIsMissing('mount', {}), []);
});

test('an old Node.js is named, the oldest supported one is not', () => {
  assert.deepEqual(whatIsMissing('build', { nodeMajor: 18 }), ['Node.js 20 or newer']);
  assert.deepEqual(whatIsMissing('build', { nodeMajor: 20 }), []);
});

test('every missing program is named', () => {
  const nothing = { hasProgram: () => false };
  assert.deepEqual(whatIsMissing('build', nothing), ['g++', 'make', 'python3']);
  assert.deepEqual(whatIsMissing('mount', { ...nothing, isRoot: false }), ['g++', 'make', 'python3', 'fusermount3']);
});

test('fusermount3 is asked of ordinary users only', () => {
  const hasProgram = (name: string) => name !== 'fusermount3';
  assert.deepEqual(whatIsMissing('mount', { hasProgram }), []);
  assert.deepEqual(whatIsMissing('mount', { hasProgram, isRoot: false }), ['fusermount3']);
});

test('an absent or closed FUSE device matters for mounting only', () => {
  assert.deepEqual(whatIsMissing('build', { fuseDevice: 'absent' }), []);
  assert.deepEqual(whatIsMissing('mount', { fuseDevice: 'absent' }), ['/dev/fuse']);
  assert.deepEqual(whatIsMissing('mount', { fuseDevice: 'denied' }), ['access to /dev/fuse']);
});

test('root without the capability to mount is told so', () => {
  assert.deepEqual(whatIsMissing('mount', { mayMount: false }), ['permission to mount']);
  assert.deepEqual(whatIsMissing('mount', { mayMount: false, isRoot: false }), []);
});

test('the command is that of the system at hand, or all of them where it is unknown', () => {
  assert.match(
    installCommand('g++', 'ID=ubuntu\nID_LIKE=debian\n'),
    /^run `apt-get update && apt-get install -y g\+\+`/,
  );
  assert.match(installCommand('g++', 'ID="rocky"\nID_LIKE="rhel centos fedora"\n'), /^run `dnf install -y gcc-c\+\+`/);
  assert.match(installCommand('fusermount3', 'ID=arch\n'), /^run `pacman -S --needed fuse3`/);
  assert.match(installCommand('make', ''), /apt-get.*dnf.*pacman/);
});

test('a machine without a compiler gets the documented status and the whole list', () => {
  const run = spawnSync(process.execPath, [scriptPath, 'build'], { env: { PATH: '/nonexistent' }, encoding: 'utf8' });
  assert.equal(run.status, exitCodes.requirement);
  assert.equal(missingExitCode, exitCodes.requirement);
  for (const program of ['g++', 'make', 'python3']) assert.ok(run.stderr.includes(`missing: ${program} `), run.stderr);
});

test('an unknown level is a usage error', () => {
  assert.equal(spawnSync(process.execPath, [scriptPath, 'fly']).status, exitCodes.usage);
});
