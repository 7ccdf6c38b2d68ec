/** Puts model trees on disk and checks directories against them, for tests; by other means than the code under test. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  fchmodSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Xattr } from '../../src/core/tree.ts';
import { listXattrs, makeNode, setTimes, writeXattr } from '../../src/fs/native.ts';
import { contentOf, isRoot, type ModelDirectory, type ModelFile, type ModelNode, nameCounts } from './tree-model.ts';

const kindBits = { fifo: 0o010000, socket: 0o140000, char: 0o020000, block: 0o060000 };

/** A directory that is gone after the test. */
export function temporaryDirectory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'covault-browse-'));
  t.after(() => {
    // Trees may have directories that their owner may not change, and paths that are too long for chmod(2).
    if (!isRoot) spawnSync('chmod', ['-R', 'u+rwX', path]);
    rmSync(path, { recursive: true, force: true });
  });
  return path;
}

function at(parent: Buffer, name: string): Buffer {
  return Buffer.concat([parent, Buffer.from('/'), Buffer.from(name, 'latin1')]);
}

/** Makes the directory `path`, which must not exist, with everything in `model`. */
export function writeModel(path: string | Buffer, model: ModelDirectory): void {
  const written = new Map<ModelNode, Buffer>();
  writeNode(Buffer.from(path), model, written);
}

function writeNode(path: Buffer, node: ModelNode, written: Map<ModelNode, Buffer>): void {
  const first = written.get(node);
  if (first !== undefined) {
    linkSync(first, path);
    return;
  }
  written.set(node, path);
  if (node.kind === 'directory') {
    mkdirSync(path, 0o700);
    for (const [name, child] of node.children) writeNode(at(path, name), child, written);
  } else if (node.kind === 'file') writeFile(path, node);
  else if (node.kind === 'symlink') symlinkSync(Buffer.from(node.target), path);
  else makeNode(path, kindBits[node.kind] | 0o600, 'rdev' in node ? node.rdev : 0n);
  lchownSync(path, node.uid, node.gid);
  for (const { name, value } of node.xattrs) writeXattr(path, name, value);
  if (node.kind !== 'symlink') chmodSync(path, node.mode);
  setTimes(path, node.mtimeNs, node.mtimeNs);
}

function writeFile(path: Buffer, { parts }: ModelFile): void {
  const fd = openSync(path, 'wx', 0o600);
  let offset = 0;
  for (const part of parts) {
    if (typeof part !== 'number') writeSync(fd, part, 0, part.byteLength, offset);
    offset += typeof part === 'number' ? part : part.byteLength;
  }
  ftruncateSync(fd, offset);
  fchmodSync(fd, 0o600);
  closeSync(fd);
}

/** Asserts that the directory at `path` is `model`, in content, attributes and links. */
export function assertIsModel(path: string, model: ModelDirectory): void {
  const counts = nameCounts(model);
  const inodes = new Map<ModelNode, bigint>();
  const visit = (where: Buffer, node: ModelNode) => {
    const shown = where.toString('latin1');
    const stats = lstatSync(where, { bigint: true });
    assert.equal(Number(stats.mode & 0o7777n).toString(8), node.mode.toString(8), `mode of ${shown}`);
    assert.equal(Number(stats.uid), node.uid, `owner of ${shown}`);
    assert.equal(Number(stats.gid), node.gid, `group of ${shown}`);
    assert.equal(stats.mtimeNs, node.mtimeNs, `mtime of ${shown}`);
    assert.deepEqual(textsOf(listXattrs(where)), textsOf(node.xattrs), `extended attributes of ${shown}`);
    if (node.kind === 'directory') {
      assert.ok(stats.isDirectory(), `${shown} is a directory`);
      const names = readdirSync(where, { encoding: 'buffer' }).map((name) => name.toString('latin1'));
      assert.deepEqual(names.sort(), [...node.children.keys()].sort(), `entries of ${shown}`);
      for (const [name, child] of node.children) visit(at(where, name), child);
      return;
    }
    assert.equal(Number(stats.nlink), counts.get(node), `names of ${shown}`);
    assert.equal(inodes.get(node) ?? stats.ino, stats.ino, `${shown} is one file with its other names`);
    inodes.set(node, stats.ino);
    if (node.kind === 'file') {
      assert.ok(stats.isFile(), `${shown} is a file`);
      assert.ok(contentOf(node).equals(readFileSync(where)), `content of ${shown}`);
    } else if (node.kind === 'symlink') {
      assert.ok(stats.isSymbolicLink(), `${shown} is a symlink`);
      assert.ok(readlinkSync(where, 'buffer').equals(Buffer.from(node.target)), `target of ${shown}`);
    } else {
      assert.equal(Number(stats.mode) & 0o170000, kindBits[node.kind], `kind of ${shown}`);
      if ('rdev' in node) assert.equal(stats.rdev, node.rdev, `device of ${shown}`);
    }
  };
  visit(Buffer.from(path), model);
}

function textsOf(xattrs: readonly Xattr[]): string[] {
  return xattrs.map(({ name, value }) => `${Buffer.from(name)}=${Buffer.from(value).toString('hex')}`).sort();
}
