/** `npm run bench -- plan`: how long planning takes, and how much memory, for a million blocks. */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Bench } from '../bench.ts';
import { median, runTimed } from '../measure.ts';

const usage = `usage: npm run bench -- plan [options]

Plans for blocks of which each has its own set of holders: the worst case there is. Each plan is made in a process of its
own; its memory is the process's largest, with the input.

  --json          the last line is one JSON object
  --blocks N      blocks (default 1000000)
  --peers N       peers (default 100)
  --holders LIST  holders of each block (default 50,99); with as many as there are peers all sets are one
  --rounds N      plans of each kind (default 3)
`;

interface Planned {
  seconds: number;
  cpuSeconds: number;
  peakMiB: number;
  distinctSets: number;
  planSeconds: number;
  groups: number;
}

export const planBench: Bench = { usage, run };

async function run(words: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...words],
    options: {
      json: { type: 'boolean', default: false },
      blocks: { type: 'string', default: '1000000' },
      peers: { type: 'string', default: '100' },
      holders: { type: 'string', default: '50,99' },
      rounds: { type: 'string', default: '3' },
    },
  });
  const cases: Record<string, unknown> = {};
  process.stdout.write('holders     sets   groups   seconds   CPU s   peak MiB\n');
  for (const holders of values.holders.split(',')) {
    const plans: Planned[] = [];
    for (let round = 0; round < Number(values.rounds); round++) {
      plans.push(await planOnce({ blocks: values.blocks, peers: values.peers, holders }));
    }
    const of = (field: keyof Planned) => median(plans.map((plan) => plan[field]));
    const figures = {
      seconds: of('seconds'),
      cpuSeconds: of('cpuSeconds'),
      peakMiB: Math.max(...plans.map(({ peakMiB }) => peakMiB)),
    };
    cases[`${values.blocks} blocks, ${holders} of ${values.peers} peers`] = { ...figures, sets: of('distinctSets') };
    const columns = [
      holders.padStart(7),
      String(of('distinctSets')).padStart(8),
      String(of('groups')).padStart(8),
      figures.seconds.toFixed(2).padStart(9),
      figures.cpuSeconds.toFixed(2).padStart(7),
      figures.peakMiB.toFixed(0).padStart(10),
    ];
    process.stdout.write(`${columns.join(' ')}\n`);
  }
  if (values.json) process.stdout.write(`${JSON.stringify({ plan: cases })}\n`);
}

async function planOnce(options: { blocks: string; peers: string; holders: string }): Promise<Planned> {
  const script = fileURLToPath(new URL('plan-once.ts', import.meta.url));
  const { blocks, peers, holders } = options;
  const { output } = await runTimed({
    program: process.execPath,
    args: ['--no-warnings', script, '--blocks', blocks, '--peers', peers, '--holders', holders],
    directory: process.cwd(),
  });
  return JSON.parse(output.trim()) as Planned;
}
