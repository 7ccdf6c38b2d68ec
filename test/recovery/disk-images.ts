/**
 * A file system in a file that can be copied in one instant, as it is on its device at that moment: what a power cut leaves.
 * The image lies on XFS (itself in an image), where a copy by reflink is of one moment.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const execFileAsync = promisify(execFile);

async function run(program: string, ...words: string[]): Promise<string> {
  return (await execFileAsync(program, words)).stdout.trim();
}

export type DiskKind = 'ext4' | 'xfs' | 'btrfs';

const outerBytes = '6G';
const innerBytes = '2G';

/** Why there can be none here, or false. Tries it, since containers have the programs but no loop devices. */
export async function needsDiskImages(kind: DiskKind): Promise<false | string> {
  if (process.geteuid?.() !== 0) return 'only root can mount disk images';
  try {
    for (const program of ['mkfs.xfs', `mkfs.${kind}`, 'losetup']) await run('sh', '-c', `command -v ${program}`);
    const disks = await DiskImages.make(kind);
    await disks.dispose();
    return false;
  } catch (error) {
    return `disk images cannot be mounted here (xfsprogs, ${kind} tools, loop devices): ${String(error).split('\n')[0]}`;
  }
}

export class DiskImages {
  readonly directory: string;
  readonly #kind: DiskKind;
  readonly #mounted: string[] = [];
  #copies = 0;

  private constructor(directory: string, kind: DiskKind) {
    this.directory = directory;
    this.#kind = kind;
  }

  /** The live disk is mounted at `live`. */
  static async make(kind: DiskKind): Promise<DiskImages> {
    const disks = new DiskImages(mkdtempSync(join(realpathSync(tmpdir()), 'covault-disks-')), kind);
    try {
      await disks.#mountNew('xfs', join(disks.directory, 'outer.img'), join(disks.directory, 'outer'), outerBytes);
      await disks.#mountNew(kind, disks.#inner, disks.live, innerBytes);
      return disks;
    } catch (error) {
      await disks.dispose();
      throw error;
    }
  }

  get live(): string {
    return join(this.directory, 'live');
  }

  get #inner(): string {
    return join(this.directory, 'outer', 'inner.img');
  }

  /** Cuts the power: the disk as it is now, mounted elsewhere. The live one goes on. @returns where. */
  async cutPower(): Promise<string> {
    const number = this.#copies++;
    const image = join(this.directory, 'outer', `copy-${number}.img`);
    await run('cp', '--reflink=always', this.#inner, image);
    const place = join(this.directory, `copy-${number}`);
    mkdirSync(place);
    await this.#mount(image, place, this.#kind === 'xfs' ? 'loop,nouuid' : 'loop');
    return place;
  }

  /** Takes away the disk that `cutPower` gave last. */
  async forgetCopy(): Promise<void> {
    await this.#unmountLast();
    await run('rm', '-f', join(this.directory, 'outer', `copy-${this.#copies - 1}.img`));
  }

  async dispose(): Promise<void> {
    while (this.#mounted.length > 0) await this.#unmountLast();
    rmSync(this.directory, { recursive: true, force: true });
  }

  async #mountNew(kind: DiskKind, image: string, place: string, bytes: string): Promise<void> {
    await run('truncate', '-s', bytes, image);
    await run(`mkfs.${kind}`, kind === 'ext4' ? '-qF' : kind === 'xfs' ? '-qf' : '-qf', image);
    mkdirSync(place);
    await this.#mount(image, place, 'loop');
  }

  async #mount(image: string, place: string, options: string): Promise<void> {
    await run('mount', '-o', options, image, place);
    this.#mounted.push(place);
  }

  async #unmountLast(): Promise<void> {
    const place = this.#mounted.pop();
    if (place === undefined) return;
    // A process that has just ended may still hold on to it for a moment.
    for (let attempt = 0; attempt < 50; attempt++) {
      try {
        await run('umount', place);
        return;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
    await run('umount', '--lazy', place);
  }
}
