/** Options of `npm run bench -- mount`. */
import { parseArgs } from 'node:util';
import type { Bench } from '../bench.ts';
import { benchMount } from './bench-mount.ts';
import { sideNames } from './sides.ts';

const usage = `usage: npm run bench -- mount [options]

  --json                  the last line is one JSON object: {"workloads":{name:{side:seconds}}}
  --markdown              the figures as a table of Markdown, with what is aimed at
  --rounds N              rounds of every workload (default 5)
  --only TEXT             only workloads whose name contains TEXT, and those that share files with them
  --storage ext4,tmpfs    where the data lies (default both: the temporary directory, and /dev/shm)
  --sides NAMES           of bare,covault,indexing,bindfs,passthroughHp (default all); indexing is the mount with its index
                          at work, covault is the engine alone
  --record FILE           keeps every time measured; given again after an interruption, it goes on where that was
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
      sides: { type: 'string', default: sideNames.join(',') },
      record: { type: 'string' },
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
    sides: sideNames.filter((name) => values.sides.split(',').includes(name)),
    record: values.record,
    dataMode: values['data-mode'],
    transport: values.transport,
    passthroughHp: values['passthrough-hp'],
    directory: values.directory,
  });
}

export const mountBench: Bench = { usage, run };
