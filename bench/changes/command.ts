/** The command line of the changes benchmark. */
import { parseArgs } from 'node:util';
import type { Bench } from '../bench.ts';
import { benchChanges } from './bench-changes.ts';

const usage = `usage: npm run bench -- changes [options]

  --json             the last line is one JSON object
  --files N          small files (default 300000)
  --rounds N         rounds of changes to them (default 3)
  --large-bytes N    size of the large file (default 4 GiB)
  --stream-bytes N   bytes of new files to be indexed (default 2 GiB)
  --typed-password   with a password as people think of them, not one that was made for the store
  --only TEXT        only parts whose name contains TEXT: small, bigFile, indexing
  --directory DIR    where everything lies instead of the temporary directory; about 10 GB at full size
`;

export const changesBench: Bench = {
  usage,
  async run(words) {
    const { values } = parseArgs({
      args: [...words],
      options: {
        json: { type: 'boolean', default: false },
        files: { type: 'string', default: '300000' },
        rounds: { type: 'string', default: '3' },
        'large-bytes': { type: 'string', default: String(4 * 2 ** 30) },
        'stream-bytes': { type: 'string', default: String(2 * 2 ** 30) },
        only: { type: 'string', default: '' },
        'typed-password': { type: 'boolean', default: false },
        directory: { type: 'string' },
      },
    });
    await benchChanges({
      json: values.json,
      files: Number(values.files),
      rounds: Number(values.rounds),
      largeBytes: Number(values['large-bytes']),
      streamBytes: Number(values['stream-bytes']),
      only: values.only,
      hasPersonsPassword: values['typed-password'],
      directory: values.directory,
    });
  },
};
