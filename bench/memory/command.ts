/** Options of `npm run bench -- memory`. */
import { parseArgs } from 'node:util';
import type { Bench } from '../bench.ts';
import { benchMemory } from './bench-memory.ts';

const usage = `usage: npm run bench -- memory [options]

  --json                  the last line is one JSON object: {"memory":{"off":{...},"on":{...}}}, MiB
  --files N               files that are looked up (default 1000000)
  --churn N               rounds of making, renaming and removing 20,000 files (default 20)
  --indexing off,on       without and with the index at work (default both)
  --directory DIR         where the data lies (default /dev/shm)
  --state DIR             where the index lies (default: the temporary directory)
`;

async function run(words: string[]): Promise<void> {
  const { values } = parseArgs({
    args: words,
    options: {
      json: { type: 'boolean', default: false },
      files: { type: 'string', default: '1000000' },
      churn: { type: 'string', default: '20' },
      indexing: { type: 'string', default: 'off,on' },
      directory: { type: 'string', default: '/dev/shm' },
      state: { type: 'string' },
    },
  });
  await benchMemory({
    json: values.json,
    files: Number(values.files),
    churnRounds: Number(values.churn),
    indexing: values.indexing.split(',').map((word) => word === 'on'),
    directory: values.directory,
    state: values.state,
  });
}

export const memoryBench: Bench = { usage, run };
