/**
 * `npm run bench -- NAME [options]`: the project's measurements. Every figure stands beside that of something else
 * run on the same data in the same minutes; nothing here judges.
 */
import { keepThreadPoolAwake } from '../src/commands/thread-pool.ts';
import type { Bench } from './bench.ts';

const benches: Record<string, { summary: string; load(): Promise<Bench> }> = {
  mount: {
    summary: "file-system work on a Covault mount, beside the bare directory, bindfs and libfuse's passthrough_hp",
    load: async () => (await import('./mount/command.ts')).mountBench,
  },
  cuts: {
    summary: 'for how long cuts hold up those who write, and what the first write under a cut costs',
    load: async () => (await import('./cuts/command.ts')).cutsBench,
  },
  memory: {
    summary: "the mount's memory with a million files looked up, and over churn",
    load: async () => (await import('./memory/command.ts')).memoryBench,
  },
  changes: {
    summary: "what knowing the changes costs, beside restic's and Borg's further backups of the same data",
    load: async () => (await import('./changes/command.ts')).changesBench,
  },
  plan: {
    summary: 'planning for a million blocks with up to a hundred holders each: seconds and memory',
    load: async () => (await import('./plan/command.ts')).planBench,
  },
  peers: {
    summary: 'snapshots from many peers over limited links, beside the least possible time, restic and Borg (root)',
    load: async () => (await import('./peers/command.ts')).peersBench,
  },
};

const [name = '', ...words] = process.argv.slice(2);
const chosen = Object.hasOwn(benches, name) ? benches[name] : undefined;
const isHelp = [name, ...words].includes('--help');
if (chosen && !isHelp) {
  keepThreadPoolAwake();
  await (await chosen.load()).run(words);
} else {
  const rows = Object.entries(benches).map(([known, { summary }]) => `  ${known.padEnd(8)} ${summary}`);
  const usage = chosen ? (await chosen.load()).usage : `usage: npm run bench -- NAME [options]\n\n${rows.join('\n')}\n`;
  process.stderr.write(usage);
  process.exitCode = isHelp ? 0 : 2;
}
