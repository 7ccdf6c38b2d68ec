/**
 * Power cuts: data directory and index lie on one disk, of which a copy is made in one instant while writers are at work and
 * the daemon runs. Covault is started on the copy, as after the machine came back.
 */
import { type ChildProcess, execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { DataMode } from '../../src/fs/session.ts';
import { CutMount } from '../cuts/cut-mount.ts';
import { randomFrom } from '../cuts/operation.ts';
import { Writers } from '../cuts/writers.ts';
import { assertConverges, type Convergence } from './converges.ts';
import { DiskImages, type DiskKind } from './disk-images.ts';

export interface PowerCutOptions {
  seed: number;
  kind: DiskKind;
  dataMode: DataMode;
  cuts: number;
  onLook?: (look: Convergence) => void;
}

export async function cutPowerAndLook(options: PowerCutOptions): Promise<void> {
  const random = randomFrom(options.seed);
  const disks = await DiskImages.make(options.kind);
  const notes = mkdtempSync(join(realpathSync(tmpdir()), 'covault-notes-'));
  let daemon: ChildProcess | undefined;
  try {
    const script = new URL('./daemon-process.ts', import.meta.url);
    daemon = fork(script, [disks.live, options.dataMode], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    const exited = once(daemon, 'exit');
    const ready = await Promise.race([once(daemon, 'message').then(() => true), exited.then(() => false)]);
    if (!ready) throw new Error('the daemon ended by itself');
    for (let cut = 0; cut < options.cuts; cut++) {
      const place = join(disks.live, 'mountpoint', `p${cut}`);
      await promisify(execFile)('mkdir', [place]);
      const seed = options.seed * 1000 + cut;
      const writers = await Writers.prepare({ mountpoint: place, notes, seed, count: 2, operations: 20_000 });
      try {
        writers.begin();
        await delay(100 + random(1500));
        const copy = await disks.cutPower();
        await look(copy, options, cut);
        await disks.forgetCopy();
        writers.stop();
        await writers.ended();
      } finally {
        writers.kill();
      }
    }
  } finally {
    daemon?.kill('SIGKILL');
    if (daemon && daemon.exitCode === null && daemon.signalCode === null) await once(daemon, 'exit');
    await promisify(execFile)('umount', ['--lazy', join(disks.live, 'mountpoint')]).catch(() => undefined);
    await disks.dispose();
    rmSync(notes, { recursive: true, force: true });
  }
}

async function look(copy: string, { seed, dataMode, kind, onLook }: PowerCutOptions, cut: number): Promise<void> {
  // The machine has been started anew.
  const running = join(copy, 'state', 'index', 'running');
  writeFileSync(running, '1 00000000-0000-0000-0000-000000000000');
  mkdirSync(join(copy, 'mountpoint'), { recursive: true });
  await using mount = await CutMount.open(copy, dataMode);
  onLook?.(await assertConverges(mount, `seed ${seed}, power cut ${cut} on ${kind}`));
}
