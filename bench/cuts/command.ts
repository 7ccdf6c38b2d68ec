/** Options of `npm run bench -- cuts`. */
import { parseArgs } from 'node:util';
import type { Bench } from '../bench.ts';
import { benchCuts } from './bench-cuts.ts';

const usage = `usage: npm run bench -- cuts [options]

  --json             the last line is one JSON object
  --cuts N           cuts under load (default 1000)
  --open-ms N        how long each stays open, milliseconds (default 20)
  --data-mode MODE   writeback or write-through (default: the engine's)
  --directory DIR    where the data lies instead of the temporary directory
`;

async function run(words: string[]): Promise<void> {
  const { values } = parseArgs({
    args: words,
    options: {
      json: { type: 'boolean', default: false },
      cuts: { type: 'string', default: '1000' },
      'open-ms': { type: 'string', default: '20' },
      'data-mode': { type: 'string' },
      directory: { type: 'string' },
    },
  });
  await benchCuts({
    json: values.json,
    cuts: Number(values.cuts),
    openMs: Number(values['open-ms']),
    dataMode: values['data-mode'],
    directory: values.directory,
  });
}

export const cutsBench: Bench = { usage, run };
