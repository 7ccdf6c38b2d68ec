/** `covault restore STORE SNAPSHOT TARGET`: brings a snapshot, or parts of it, back as plain files. */
import { resolve } from 'node:path';
import { resolveSnapshot } from '../browse/find-snapshot.ts';
import { restoreSnapshot } from '../browse/restore.ts';
import type { RestoreResult } from '../browse/restore-report.ts';
import { exitCodes } from '../core/exit-codes.ts';
import type { PeerShare } from '../core/snapshot.ts';
import { type Command, flagOption, listOption, type Outcome, parameter, stateOption, textOption } from './command.ts';
import { passwordOptions } from './password.ts';
import { openRestorePeers, type RestorePeers } from './restore-peers.ts';
import { formatBytes, formatCount } from './sizes.ts';
import { openExistingStore } from './store-access.ts';

const existingChoices = ['refuse', 'keep', 'replace'] as const;

/** Exceptions named for people; JSON has all that the result has. */
const exceptionsShown = 20;

export const restoreCommand: Command = {
  name: 'restore',
  summary: 'bring a snapshot, or paths of it, back as plain files',
  description:
    'SNAPSHOT is "latest", a time as `covault snapshots` shows it, the beginning of a time or of an id, or one of these ' +
    'after CLIENT/. A restore that was stopped continues when the same command is run again. Blocks that stand in the ' +
    'target already are not fetched; on a member of the domain, other members that hold blocks send them too.',
  parameters: [
    { name: 'STORE', summary: 'the directory of the store' },
    { name: 'SNAPSHOT', summary: 'which snapshot' },
    { name: 'TARGET', summary: 'the directory to restore into, made if need be' },
  ],
  options: [
    {
      flags: '--path <path>',
      summary: 'only this path within the snapshot; may be given several times',
      repeatable: true,
    },
    {
      flags: '--existing <what>',
      summary: 'what to do where something is already',
      choices: existingChoices,
      default: 'refuse',
    },
    { flags: '--recheck', summary: 'read what is there already rather than trust its size and time' },
    { flags: '--spare-store', summary: 'take from the store only what no other member sends' },
    { flags: '--store-only', summary: 'do not ask other members for blocks' },
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
    exitCodes.requirement,
  ],
  examples: [
    ['covault restore /backups/vault laptop/latest ~/restored', 'everything, into a new directory'],
    ['covault restore /backups/vault laptop/2026-11-22 ~/restored --path documents', 'one directory, of that day'],
  ],
  async run(call) {
    const existing = existingChoices.find((choice) => choice === textOption(call, 'existing')) ?? 'refuse';
    await using stack = new AsyncDisposableStack();
    const store = await openExistingStore(call, parameter(call, 0));
    stack.defer(() => store.close());
    const peers = flagOption(call, 'storeOnly') ? undefined : await openRestorePeers(call, store);
    if (peers !== undefined) stack.use(peers);
    const { name, record } = await resolveSnapshot(store, { snapshot: parameter(call, 1) });
    const target = resolve(parameter(call, 2));
    const result = await restoreSnapshot({
      reader: store,
      snapshot: record,
      target,
      existing,
      paths: listOption(call, 'path').map((path) => Buffer.from(path)),
      recheck: flagOption(call, 'recheck'),
      keepOut: [resolve(parameter(call, 0))],
      domain: store.domain,
      ...(peers === undefined ? {} : { fetcher: peers.fetcher }),
      signal: call.signal,
      onProgress: ({ entries, bytes }) => {
        const fields = { entries };
        call.progress.report({ phase: 'restore', done: bytes, total: record.bytes, unit: 'bytes', fields });
      },
    });
    await peers?.remember();
    const shares = sharesOf(result, peers);
    return outcome({ ...result, ...shares }, { snapshot: record.id, name: `${record.client}/${name}`, target });
  },
};

/** Where the blocks came from. */
interface RestoreShares {
  bytesFromStore: number;
  bytesFromPeers: number;
  /** Largest first. */
  peers: PeerShare[];
}

function sharesOf({ bytesFromStore }: RestoreResult, peers: RestorePeers | undefined): RestoreShares {
  const shares = peers?.fetcher.shares;
  const given = shares?.peers() ?? [];
  return {
    bytesFromStore: bytesFromStore + (shares?.sourceBytes ?? 0),
    bytesFromPeers: given.reduce((sum, { bytes }) => sum + bytes, 0),
    peers: given,
  };
}

function outcome(
  result: RestoreResult & RestoreShares,
  where: { snapshot: string; name: string; target: string },
): Outcome {
  const { exceptions, exceptionCount } = result;
  const described = exceptions.map(({ path, reason }) => ({ path: Buffer.from(path).toString(), reason }));
  const shown = described.slice(0, exceptionsShown).map(({ path, reason }) => `exception: ${path}: ${reason}`);
  const notes = [
    ...(exceptionCount > shown.length ? [`and ${formatCount(exceptionCount - shown.length)} more exceptions`] : []),
    ...(result.foreignOwners > 0
      ? [
          `${formatCount(result.foreignOwners)} entries belong to you instead of their owners: only root may give files away`,
        ]
      : []),
  ];
  const { files, entries, bytesWritten, alreadyThere } = result;
  const figures = `${formatCount(entries)} entries, ${formatCount(files)} of them files, ${formatBytes(bytesWritten)} written`;
  const found = alreadyThere > 0 ? `, ${formatCount(alreadyThere)} were there already` : '';
  return {
    result: { type: 'restored', ...where, ...result, exceptions: described },
    lines: [...shown, ...notes, `restored ${where.name} into ${where.target}: ${figures}${found}`, shareLine(result)],
    exitCode: exceptionCount === 0 ? exitCodes.ok : exitCodes.incomplete,
  };
}

function shareLine({ bytesFromStore, bytesFromPeers, bytesReused, peers }: RestoreResult & RestoreShares): string {
  const named = peers.map(({ peer, bytes }) => `${peer} ${formatBytes(bytes)}`);
  const from = bytesFromPeers > 0 ? `, ${formatBytes(bytesFromPeers)} from other members (${named.join(', ')})` : '';
  const reused = bytesReused > 0 ? `, ${formatBytes(bytesReused)} were in the target already` : '';
  return `${formatBytes(bytesFromStore)} from the store${from}${reused}`;
}
