/**
 * A data directory that is changed by functions which also say what the engine would report: each operation is done
 * for real, then its mutations wait to be delivered.
 */
import * as fs from 'node:fs';
import { join } from 'node:path';
import type { Mutation } from '../../src/core/mutation.ts';
import { writeXattr } from '../../src/fs/native.ts';

export class RecordedDirectory {
  readonly root: string;
  /** What was reported and not yet taken. */
  #waiting: Mutation[] = [];

  constructor(root: string) {
    this.root = root;
  }

  /** The mutations since the last call, in order. */
  take(): Mutation[] {
    return this.#waiting.splice(0);
  }

  path(...names: string[]): string {
    return join(this.root, ...names);
  }

  stat(path: string): fs.Stats {
    return fs.lstatSync(this.path(path));
  }

  inode(path: string): bigint {
    return fs.lstatSync(this.path(path), { bigint: true }).ino;
  }

  create(path: string, content: Uint8Array): void {
    const isNew = !fs.existsSync(this.path(path));
    fs.writeFileSync(this.path(path), content);
    const inode = this.inode(path);
    if (isNew) this.#tell({ kind: 'create', inode, ...this.#place(path) });
    else this.#tell({ kind: 'truncate', inode, size: 0 });
    if (content.byteLength > 0) this.#tell({ kind: 'content', inode, offset: 0, length: content.byteLength });
  }

  write(path: string, offset: number, bytes: Uint8Array): void {
    const fd = fs.openSync(this.path(path), 'r+');
    fs.writeSync(fd, bytes, 0, bytes.byteLength, offset);
    fs.closeSync(fd);
    this.#tell({ kind: 'content', inode: this.inode(path), offset, length: bytes.byteLength });
  }

  truncate(path: string, size: number): void {
    fs.truncateSync(this.path(path), size);
    this.#tell({ kind: 'truncate', inode: this.inode(path), size });
  }

  makeDirectory(path: string): void {
    fs.mkdirSync(this.path(path));
    this.#tell({ kind: 'create', inode: this.inode(path), ...this.#place(path) });
  }

  symlink(path: string, target: string): void {
    fs.symlinkSync(target, this.path(path));
    this.#tell({ kind: 'create', inode: this.inode(path), ...this.#place(path) });
  }

  link(path: string, newPath: string): void {
    fs.linkSync(this.path(path), this.path(newPath));
    this.#tell({ kind: 'link', inode: this.inode(newPath), ...this.#place(newPath) });
  }

  /** Of a file or an empty directory. */
  remove(path: string): void {
    const inode = this.inode(path);
    const place = this.#place(path);
    if (fs.lstatSync(this.path(path)).isDirectory()) fs.rmdirSync(this.path(path));
    else fs.unlinkSync(this.path(path));
    this.#tell({ kind: 'unlink', inode, ...place });
  }

  rename(path: string, newPath: string): void {
    const inode = this.inode(path);
    const [from, to] = [this.#place(path), this.#place(newPath)];
    fs.renameSync(this.path(path), this.path(newPath));
    this.#tell({ kind: 'rename', inode, ...from, newParent: to.parent, newName: to.name, exchange: false });
  }

  exchange(path: string, newPath: string): void {
    const inode = this.inode(path);
    const [from, to] = [this.#place(path), this.#place(newPath)];
    // Node.js has no renameat2; nobody looks in between.
    const aside = `${this.root}-aside`;
    fs.renameSync(this.path(path), aside);
    fs.renameSync(this.path(newPath), this.path(path));
    fs.renameSync(aside, this.path(newPath));
    this.#tell({ kind: 'rename', inode, ...from, newParent: to.parent, newName: to.name, exchange: true });
  }

  changeMode(path: string, mode: number): void {
    fs.chmodSync(this.path(path), mode);
    this.#tell({ kind: 'attributes', inode: this.inode(path) });
  }

  setTime(path: string, seconds: number): void {
    fs.lutimesSync(this.path(path), seconds, seconds);
    this.#tell({ kind: 'attributes', inode: this.inode(path) });
  }

  setXattr(path: string, name: string, value: string): void {
    writeXattr(this.path(path), name, value);
    this.#tell({ kind: 'xattrs', inode: this.inode(path) });
  }

  /** All paths below the root, directories before what is in them. */
  list(): { path: string; kind: 'file' | 'directory' | 'symlink' }[] {
    const found: { path: string; kind: 'file' | 'directory' | 'symlink' }[] = [];
    const visit = (directory: string) => {
      for (const name of fs.readdirSync(this.path(directory)).sort()) {
        const path = join(directory, name);
        const stats = fs.lstatSync(this.path(path));
        found.push({ path, kind: stats.isDirectory() ? 'directory' : stats.isSymbolicLink() ? 'symlink' : 'file' });
        if (stats.isDirectory()) visit(path);
      }
    };
    visit('');
    return found;
  }

  #place(path: string): { parent: bigint; name: Uint8Array } {
    const at = path.lastIndexOf('/');
    return { parent: this.inode(at < 0 ? '' : path.slice(0, at)), name: Buffer.from(path.slice(at + 1)) };
  }

  #tell(mutation: Mutation): void {
    this.#waiting.push(mutation);
  }
}
