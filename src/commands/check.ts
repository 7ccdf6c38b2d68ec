/** `covault check STORE`: looks for damage. */
import { timeName } from '../browse/snapshot-names.ts';
import { exitCodes } from '../core/exit-codes.ts';
import type { AffectedPath, CheckFinding, CheckReport } from '../store/check-report.ts';
import { type Command, flagOption, type Outcome, parameter } from './command.ts';
import { passwordOptions } from './password.ts';
import { formatBytes, formatCount } from './sizes.ts';
import { openExistingStore } from './store-access.ts';

/** Affected paths named for one finding; JSON has all that the report has. */
const pathsShown = 10;

export const checkCommand: Command = {
  name: 'check',
  summary: 'look for damage in a store',
  description:
    'Reads every index file and the structure of every pack and snapshot. With --read-data also every block, and ' +
    'verifies it against its digest. Changes nothing.',
  parameters: [{ name: 'STORE', summary: 'the directory of the store' }],
  options: [{ flags: '--read-data', summary: 'read and verify all data as well' }, ...passwordOptions],
  exitCodes: [exitCodes.incomplete, exitCodes.notFound, exitCodes.denied, exitCodes.corrupt, exitCodes.io],
  examples: [
    ['covault check /backups/vault', 'ends with status 3 if something is damaged'],
    ['covault check /backups/vault --read-data --json', 'verifies every block, for a script'],
  ],
  async run(call) {
    const store = await openExistingStore(call, parameter(call, 0));
    try {
      const report = await store.check({
        readData: flagOption(call, 'readData'),
        signal: call.signal,
        onProgress: ({ stage, done, total }) => {
          call.progress.report({ phase: `check ${stage}`, done, total, unit: stage });
        },
      });
      return outcome(report);
    } finally {
      await store.close();
    }
  },
};

function outcome(report: CheckReport): Outcome {
  const { findings, ...figures } = report;
  return {
    result: {
      type: 'check',
      ...figures,
      findings: findings.map((finding) => ({ ...finding, affected: finding.affected.map(describeAffected) })),
    },
    lines: [...findings.flatMap(findingLines), summaryLine(report)],
    exitCode: report.ok ? exitCodes.ok : exitCodes.incomplete,
  };
}

function describeAffected({ snapshot, client, timeNs, path }: AffectedPath): Record<string, unknown> {
  return { snapshot, client, time: timeName(timeNs), path: Buffer.from(path).toString() };
}

function findingLines({ severity, message, affected, affectedCount }: CheckFinding): string[] {
  const shown = affected.slice(0, pathsShown);
  return [
    `${severity}: ${message}`,
    ...shown.map(({ client, timeNs, path }) => `  affects ${client}/${timeName(timeNs)}/${Buffer.from(path)}`),
    ...(affectedCount > shown.length ? [`  and ${formatCount(affectedCount - shown.length)} more`] : []),
  ];
}

function summaryLine({ ok, packs, blocks, snapshots, bytesRead }: CheckReport): string {
  const read = bytesRead > 0 ? `, ${formatBytes(bytesRead)} read and verified` : '';
  const counts = `${formatCount(snapshots)} snapshots, ${formatCount(packs)} packs, ${formatCount(blocks)} blocks${read}`;
  return ok ? `no damage: ${counts}` : `DAMAGED: ${counts}`;
}
