/** The engine alone, no index behind it: `engine-daemon.ts DIRECTORY [--data-mode MODE] [--transport NAME]`. */
import { parseArgs } from 'node:util';
import { type MountOptions, mountDataDirectory } from '../../src/fs/session.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { 'data-mode': { type: 'string' }, transport: { type: 'string' } },
});

const options: MountOptions = { dataDirectory: positionals[0] ?? '', keepOut: [], onMutations: () => {} };
if (values['data-mode']) options.dataMode = values['data-mode'] as NonNullable<MountOptions['dataMode']>;
if (values.transport) options.transport = values.transport as NonNullable<MountOptions['transport']>;

const session = await mountDataDirectory(options);
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void session.unmount());
await session.closed;
