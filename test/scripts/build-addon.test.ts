/** Building the addon: cheap when there is nothing to do, and clear about what is missing. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const project = fileURLToPath(new URL('../..', import.meta.url));

function build(root: string, env: NodeJS.ProcessEnv = process.env) {
  return spawnSync(process.execPath, [join(root, 'scripts/build-addon.mjs')], { encoding: 'utf8', env });
}

/** The project's scripts and a tiny addon instead of its own, so that nobody waits for a compiler for long. */
function tinyProject(t: TestContext, source: string): string {
  const root = mkdtempSync(join(tmpdir(), 'covault-build-'));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  cpSync(join(project, 'scripts'), join(root, 'scripts'), { recursive: true });
  mkdirSync(join(root, 'native/src'), { recursive: true });
  cpSync(join(project, 'native/binding.gyp'), join(root, 'native/binding.gyp'));
  mkdirSync(join(root, 'node_modules'));
  // Copied, for make puts what it notes about a target beside the target's real place.
  cpSync(join(project, 'node_modules/node-addon-api'), join(root, 'node_modules/node-addon-api'), { recursive: true });
  symlinkSync(join(project, 'node_modules/node'), join(root, 'node_modules/node'));
  writeSource(root, source);
  return root;
}

function writeSource(root: string, source: string): void {
  const made = spawnSync('tee', [join(root, 'native/src/addon.cc')], { input: source });
  assert.equal(made.status, 0);
}

const goodSource = `#include <napi.h>
static Napi::Object start(Napi::Env, Napi::Object exports) { return exports; }
NODE_API_MODULE(covault, start)
`;

test('an addon that is up to date is left alone, silently', () => {
  const { status, stdout, stderr } = build(project);
  assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: '', stderr: '' });
});

test('a changed source is built again, and what the compiler says is shown', (t) => {
  const root = tinyProject(t, goodSource);
  assert.deepEqual(build(root).stderr, '');
  const first = spawnSync(process.execPath, [
    '-e',
    `require(${JSON.stringify(join(root, 'native/build/Release/covault.node'))})`,
  ]);
  assert.equal(first.status, 0);
  writeSource(root, `${goodSource}this is no C++\n`);
  const failed = build(root);
  assert.equal(failed.status, 1);
  assert.match(failed.stderr, /error:.*this|this.*does not name a type/s);
  assert.match(failed.stderr, /hint: /);
  writeSource(root, goodSource);
  assert.equal(build(root).status, 0);
});

test('what is missing is named with what installs it', (t) => {
  const root = tinyProject(t, goodSource);
  const empty = join(root, 'empty');
  mkdirSync(empty);
  const { status, stderr } = build(root, { ...process.env, PATH: empty });
  assert.equal(status, 10);
  assert.match(stderr, /missing: g\+\+/);
  assert.match(stderr, /hint: /);
  rmSync(join(root, 'node_modules'), { recursive: true });
  const bare = build(root);
  assert.equal(bare.status, 10);
  assert.match(bare.stderr, /npm ci/);
});
