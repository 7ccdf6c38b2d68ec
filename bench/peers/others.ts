/** restic and Borg, backing up the same directory from the same host over the same link, to a secondary's host over SSH. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runTimed } from '../measure.ts';
import type { Host } from './hosts.ts';

export type OtherName = 'restic' | 'borg';

/** The host from which Borg backs up what restic backs up from the source's: with a link of the same speed. */
export const otherHostName = 'other';

const serverPath = '/usr/sbin/sshd';
const port = 2222;

export function missingPrograms(): string[] {
  const wanted = { ssh: 'ssh', restic: 'restic', borg: 'borg' };
  return [
    ...Object.values(wanted).filter((program) => !isThere(program)),
    ...(existsSync(serverPath) ? [] : [serverPath]),
  ];
}

function isThere(program: string): boolean {
  try {
    execFileSync('which', [program], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Seconds of a first backup with each, both at the same time from hosts of their own. `scratch` is made. */
export async function backUpWithOthers(options: {
  scratch: string;
  sources: Record<OtherName, Host>;
  target: Host;
  data: string;
}): Promise<Record<OtherName, number>> {
  const { scratch, sources, target, data } = options;
  await mkdir(scratch, { recursive: true });
  const { stop, config } = await startServer(scratch, target);
  try {
    const ssh = `ssh -F ${config}`;
    const env = {
      HOME: scratch,
      RESTIC_PASSWORD: 'benchmark',
      BORG_PASSPHRASE: 'benchmark',
      BORG_RSH: ssh,
      BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: 'yes',
    };
    const run = async (name: OtherName, words: string[]) => {
      const [program, ...args] = [...sources[name].within, ...words];
      return (await runTimed({ program: program as string, args, directory: data, env })).seconds;
    };
    const restic = [
      'restic',
      '-r',
      `sftp:target:${join(scratch, 'restic')}`,
      '-o',
      `sftp.command=${ssh} target -s sftp`,
    ];
    const borg = `ssh://target${join(scratch, 'borg')}`;
    await run('restic', [...restic, 'init', '--quiet']);
    await run('borg', ['borg', 'init', '--encryption', 'repokey-blake2', borg]);
    const [resticSeconds, borgSeconds] = await Promise.all([
      run('restic', [...restic, 'backup', '--quiet', '.']),
      run('borg', ['borg', 'create', `${borg}::first`, '.']),
    ]);
    return { restic: resticSeconds, borg: borgSeconds };
  } finally {
    await stop();
  }
}

async function startServer(scratch: string, host: Host): Promise<{ config: string; stop(): Promise<void> }> {
  for (const name of ['host-key', 'user-key']) {
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(scratch, name)]);
  }
  await mkdir('/run/sshd', { recursive: true });
  const serverConfig = join(scratch, 'sshd_config');
  const lines = [
    `Port ${port}`,
    `ListenAddress ${host.address}`,
    `HostKey ${join(scratch, 'host-key')}`,
    `AuthorizedKeysFile ${join(scratch, 'user-key.pub')}`,
    `PidFile ${join(scratch, 'sshd.pid')}`,
    'StrictModes no',
    'PermitRootLogin yes',
    'UsePAM no',
    'Subsystem sftp internal-sftp',
  ];
  await writeFile(serverConfig, `${lines.join('\n')}\n`);
  const config = join(scratch, 'ssh_config');
  const client = [
    'Host target',
    `  HostName ${host.address}`,
    `  Port ${port}`,
    '  User root',
    `  IdentityFile ${join(scratch, 'user-key')}`,
    '  IdentitiesOnly yes',
    '  StrictHostKeyChecking no',
    '  UserKnownHostsFile /dev/null',
    '  LogLevel ERROR',
  ];
  await writeFile(config, `${client.join('\n')}\n`);
  const [program, ...args] = [...host.within, serverPath, '-D', '-e', '-f', serverConfig];
  const server = spawn(program as string, args, { stdio: 'ignore' });
  await sleep(500);
  return {
    config,
    async stop() {
      server.kill();
      if (server.exitCode === null) await once(server, 'close');
    },
  };
}
