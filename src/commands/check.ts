/** `covault check STORE`: looks for damage; with `--index`: compares an index with its data directory. */
import { timeName } from '../browse/snapshot-names.ts';
import { CovaultError } from '../core/errors.ts';
import { exitCodes } from '../core/exit-codes.ts';
import type { AffectedPath, CheckFinding, CheckReport } from '../store/check-report.ts';
import { runIndexCheck } from './check-index.ts';
import { type Call, type Command, flagOption, type Outcome, parameter, stateOption } from './command.ts';
import { passwordOptions } from './password.ts';
import { formatBytes, formatCount } from './sizes.ts';
import { openExistingStore } from './store-access.ts';

/** Affected paths named for one finding; JSON has all that the report has. */
const pathsShown = 10;

export const checkCommand: Command = {
  name: 'check',
  summary: 'look for damage in a store, or for changes that an index missed',
  description:
    'Of a store: reads every index file and the structure of every pack and snapshot. With --read-data also every ' +
    'block, and verifies it against its digest. Changes nothing. With --index instead of a store: lists and hashes the ' +
    'whole data directory again, says what the index had missed, and puts it right.',
  parameters: [{ name: 'STORE', summary: 'the directory of the store', optional: true }],
  options: [
    { flags: '--read-data', summary: 'read and verify all data as well' },
    { flags: '--index', summary: 'compare the index of a member with its data directory' },
    { flags: '--rebuild-index', summary: 'throw the index of a member away and make it anew' },
    { flags: '--data <directory>', summary: 'the data directory, if it is not mounted' },
    stateOption,
    ...passwordOptions,
  ],
  exitCodes: [
    exitCodes.incomplete,
    exitCodes.notFound,
    exitCodes.denied,
    exitCodes.unavailable,
    exitCodes.corrupt,
    exitCodes.io,
  ],
  examples: [
    ['covault check /backups/vault', 'ends with status 3 if something is damaged'],
    ['covault check /backups/vault --read-data --json', 'verifies every block, for a script'],
    ['covault check --index', 'ends with status 3 if the index had missed a change'],
  ],
  async run(call) {
    const rebuild = flagOption(call, 'rebuildIndex');
    if (rebuild || flagOption(call, 'index')) {
      refuseStore(call);
      return runIndexCheck(call, { rebuild });
    }
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

function refuseStore(call: Call): void {
  if (call.parameters.length === 0 && !flagOption(call, 'readData')) return;
  throw new CovaultError('E_BAD_INPUT', 'a store and an index are checked one at a time', {
    hint: 'leave out either the store or --index',
  });
}

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
