/** Options of `npm run bench -- mount`. */
import { parseArgs } from 'node:util';
import type { Bench } from '../bench.ts';
import { benchMount } from './bench-mount.ts';

const usage = `usage: npm run bench -- mount [options]

  --json                  the last line is one JSON object: {"workloads":{name:{side:seconds}}}
  --markdown              the figures as a table of Markdown
  --rounds N              rounds of every workload (default 5)
  --only TEXT             only workloads whose name contains TEXT, and those that share files with them
  --storage ext4,tmpfs    where the data lies (default both: the temporary directory, and /dev/shm)
  --indexing off,on       without and with the index at work (default both); the other file systems run without
  --data-mode MODE        writeback or write-through (default: the engine's)
  --transport NAME        auto, device or io_uring (default: auto)
  --passthrough-hp FILE   libfuse's example, built from its sources; left out when not given
  --directory DIR         where the ext4 data lies instead of the temporary directory
`;

async function run(words: string[]): Promise<void> {
  const { values } = parseArgs({
    args: words,
    options: {
      json: { type: 'boolean', default: false },
      markdown: { type: 'boolean', default: false },
      rounds: { type: 'string', default: '5' },
      only: { type: 'string', default: '' },
      storage: { type: 'string', default: 'ext4,tmpfs' },
      indexing: { type: 'string', default: 'off,on' },
      'data-mode': { type: 'string' },
      transport: { type: 'string' },
      'passthrough-hp': { type: 'string' },
      directory: { type: 'string' },
    },
  });
  await benchMount({
    json: values.json,
    markdown: values.markdown,
    rounds: Number(values.rounds),
    only: values.only,
    storages: values.storage.split(','),
    indexing: values.indexing.split(',').map((word) => word === 'on'),
    dataMode: values['data-mode'],
    transport: values.transport,
    passthroughHp: values['passthrough-hp'],
    directory: values.directory,
  });
}

export const mountBench: Bench = { usage, run };
