/** Runs single seeds of the simulation again and prints what happened: `node test/simulation/replay.ts SEED…`. */
import { describeReport } from './seeds.ts';
import { simulate } from './simulate.ts';

for (const seed of process.argv.slice(2).map(Number)) {
  const report = await simulate(seed);
  const { snapshots, failures, messages, virtualMs, traceHash } = report;
  process.stdout.write(`${describeReport(report)}\n`);
  process.stdout.write(
    `  ${snapshots} snapshots, failed runs ${JSON.stringify([...failures])}, ${messages} messages, `,
  );
  process.stdout.write(`${Math.round(virtualMs / 1000)} s, trace ${traceHash.toString(16)}\n`);
}
