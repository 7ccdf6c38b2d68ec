/** Options of `npm run bench -- peers`. */
import { parseArgs } from 'node:util';
import { parseBytes } from '../../src/commands/sizes.ts';
import type { Bench } from '../bench.ts';
import { benchPeers } from './bench-peers.ts';

const usage = `usage: npm run bench -- peers [options]

  --json           the last line is one JSON object
  --only TEXTS     only scenarios whose name contains one of these, separated by commas
  --bytes SIZE     how much the source has (default 300MB)
  --files DIR      real files to fill the hosts with (default: /usr)
  --directory DIR  where everything lies instead of the temporary directory
  --alone          without restic and Borg

Needs root, iproute2 with tc, taskset and fio; ssh, sshd, restic and borg for the comparison.
`;

async function run(words: string[]): Promise<void> {
  const { values } = parseArgs({
    args: words,
    options: {
      json: { type: 'boolean', default: false },
      only: { type: 'string', default: '' },
      bytes: { type: 'string', default: '300MB' },
      files: { type: 'string', default: '/usr' },
      directory: { type: 'string' },
      alone: { type: 'boolean', default: false },
    },
  });
  const { json, only, bytes, files, directory, alone } = values;
  await benchPeers({ json, only, bytes: parseBytes(bytes), files, directory, alone });
}

export const peersBench: Bench = { usage, run };
