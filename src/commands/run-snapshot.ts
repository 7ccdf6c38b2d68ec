/** What `covault snapshot` does once it is known what is asked for. */
import { timeName } from '../browse/snapshot-names.ts';
import { createDigester } from '../core/digest.ts';
import type { Domain } from '../core/domain.ts';
import { CovaultError } from '../core/errors.ts';
import { exitCodes } from '../core/exit-codes.ts';
import type { SnapshotException } from '../core/snapshot.ts';
import type { Identity } from '../remote/identity.ts';
import { openRepositoryClient, type RepositoryClient } from '../remote/repository-client.ts';
import { drySink, emptySink } from '../snapshot/dry-sink.ts';
import { PeerDirectory } from '../snapshot/peer-directory.ts';
import { speedsOfUse } from '../snapshot/peer-speeds.ts';
import type { PlanShare, PlanSummary } from '../snapshot/plan-summary.ts';
import type { RateSchedule } from '../snapshot/serving-policy.ts';
import { type PlanOptions, planSnapshot, type SnapshotOutcome, takeSnapshot } from '../snapshot/take.ts';
import type { Store } from '../store/store.ts';
import { type Call, neededOption, type Outcome, parameter, stateDirectoryOf, textOption } from './command.ts';
import { connectPeer } from './connect-peer.ts';
import { parseDuration } from './durations.ts';
import { collectRarely } from './heap.ts';
import { loadJoined } from './membership.ts';
import { loadPeerSpeeds, savePeerSpeeds } from './peer-speeds-file.ts';
import { loadSettings } from './settings.ts';
import { shareLines } from './share-lines.ts';
import { formatBytes, formatCount, formatShare, formatTable, parseBytes } from './sizes.ts';
import { reportSnapshotProgress } from './snapshot-progress.ts';
import { type AskedStore, hasConfig, openExistingStore } from './store-access.ts';

const exceptionsShown = 20;

/** Plans the snapshot that the command line asks for, and shows it. */
export async function showPlan(call: Call): Promise<Outcome> {
  await using stack = new AsyncDisposableStack();
  const { domain, ...parts } = await findClient(call, stack);
  const directory = neededOption(call, 'to');
  const store = (await hasConfig(directory)) ? await openExistingStore(call, directory) : undefined;
  stack.defer(() => store?.close());
  return describePlan(await plan(call, { ...parts, store, domain }));
}

/** Takes the snapshot that the command line asks for. */
export async function makeSnapshot(call: Call, { isNew, open }: AskedStore): Promise<Outcome> {
  collectRarely();
  await using stack = new AsyncDisposableStack();
  const { domain, ...parts } = await findClient(call, stack);
  const { download } = await loadSettings(stateDirectoryOf(call));
  const known = await loadPeerSpeeds(stateDirectoryOf(call), call.log);
  const peerSpeeds = speedsOfUse(known, call.clock.nowMs());
  // Reading the store's index takes as long as the cut: one is done while waiting for the other.
  const opening = open(domain);
  stack.defer(() =>
    opening.then(
      (store) => store.close(),
      () => undefined,
    ),
  );
  const outcome = await take(call, { ...parts, domain, opening, download, peerSpeeds });
  const measured = { known, measured: outcome.speeds, nowMs: call.clock.nowMs(), log: call.log };
  await savePeerSpeeds(stateDirectoryOf(call), measured);
  return describeOutcome(outcome, { directory: neededOption(call, 'to'), isNew });
}

interface Parts {
  client: string;
  repository: RepositoryClient;
  peers: PeerDirectory;
  identity: Identity;
}

/** @throws CovaultError `E_NOT_FOUND` if the domain has no client of that name. */
async function findClient(call: Call, stack: AsyncDisposableStack): Promise<Parts & { domain: Domain }> {
  const client = parameter(call, 0);
  const { domain, joined } = await loadJoined(stateDirectoryOf(call));
  const repository = openRepositoryClient({ identity: joined.identity, url: joined.repositoryUrl });
  stack.defer(() => repository.close());
  const peers = new PeerDirectory((options) => repository.peers(options));
  await checkClient(peers, client, call.signal);
  return { client, repository, peers, identity: joined.identity, domain };
}

/** @throws CovaultError `E_NOT_FOUND` if the domain has no client of that name. */
async function checkClient(peers: PeerDirectory, client: string, signal: AbortSignal): Promise<void> {
  const members = await peers.refresh({ signal });
  if (members.get(client)?.role === 'client') return;
  const known = [...members.values()].filter(({ role }) => role === 'client').map(({ name }) => name);
  throw new CovaultError('E_NOT_FOUND', `the domain has no client ${client}`, {
    hint: known.length === 0 ? 'let a client join first' : `its clients are ${known.join(', ')}`,
  });
}

/** What taking and planning have in common. */
function takeOptions(
  call: Call,
  { client, repository, peers, identity }: Parts,
): Omit<PlanOptions, 'sink' | 'digester'> {
  const limit = textOption(call, 'sourceLimit');
  const deadline = textOption(call, 'sourceDeadline');
  return {
    client,
    connect: (peer) => connectPeer(peer, { directory: peers, identity }),
    peerStates: (options) => peers.refresh(options),
    holders: repository,
    clock: call.clock,
    puller: identity.name,
    patienceMs: parseDuration(neededOption(call, 'patience')),
    signal: call.signal,
    bounds: {
      ...(limit === undefined ? {} : { sourceBytesPerSecondMax: parseBytes(limit) }),
      ...(deadline === undefined ? {} : { sourceFreeAtMs: call.clock.monotonicMs() + parseDuration(deadline) }),
    },
    onProgress: (progress) => reportSnapshotProgress(call.progress, progress),
  };
}

/** Without a store: as if there were an empty one. */
async function plan(call: Call, parts: Parts & { store: Store | undefined; domain: Domain }) {
  const { store, domain } = parts;
  return await planSnapshot({
    ...takeOptions(call, parts),
    sink: drySink(store?.held() ?? emptySink),
    digester: createDigester(domain.digestKey),
  });
}

async function take(
  call: Call,
  parts: Parts & {
    domain: Domain;
    opening: Promise<Store>;
    download: RateSchedule;
    peerSpeeds: ReadonlyMap<string, number>;
  },
): Promise<SnapshotOutcome> {
  const { domain } = parts;
  const writer = parts.opening.then((store) => store.openWriter({ domain }));
  try {
    return await takeSnapshot({
      ...takeOptions(call, parts),
      sink: writer,
      digester: createDigester(domain.digestKey),
      onPlanned: (summary) => call.json && call.announce(planMessage(summary), []),
      download: parts.download,
      peerSpeeds: parts.peerSpeeds,
    });
  } finally {
    // After a seal there is nothing left to abandon.
    await writer.then(
      (opened) => opened.abandon(),
      () => undefined,
    );
  }
}

function planMessage({ timeNs, ...summary }: PlanSummary): Record<string, unknown> {
  return { type: 'plan', time: timeName(timeNs), ...summary };
}

function describePlan({ exceptions, ...summary }: Awaited<ReturnType<typeof plan>>): Outcome {
  const { blocks, bytes, sourceBytes, peers, objects, objectBytes } = summary;
  const described = exceptions.map(describeException);
  const rows: PlanShare[] = [...peers, { peer: 'the source', bytes: sourceBytes }].filter((share) => share.bytes > 0);
  return {
    result: { ...planMessage(summary), exceptions: described },
    lines: [
      ...exceptionLines(described),
      `would pull ${formatCount(blocks)} blocks, ${formatBytes(bytes)}`,
      ...formatTable(
        rows.map((share) => [
          `  ${share.peer}`,
          formatBytes(share.bytes),
          formatShare(share.bytes, bytes),
          planReasons(share),
        ]),
        [1, 2],
      ),
      `and ${formatCount(objects)} trees and recipes, ${formatBytes(objectBytes)}, from the source`,
    ],
    exitCode: exceptions.length === 0 ? exitCodes.ok : exitCodes.incomplete,
  };
}

/** What of a peer made the plan give it more or less than others. */
function planReasons({ bytesPerSecond, load = 0, price = 1 }: PlanShare): string {
  return [
    ...(bytesPerSecond === undefined ? [] : [`${formatBytes(bytesPerSecond)} a second lately`]),
    ...(load === 0 ? [] : [`answers ${formatCount(load)} requests for others`]),
    ...(price === 1 ? [] : [`price ${formatCount(price)}`]),
  ].join(', ');
}

interface DescribedException {
  path: string;
  reason: string;
}

function describeException({ path, reason }: SnapshotException): DescribedException {
  return { path: Buffer.from(path).toString(), reason };
}

function exceptionLines(exceptions: readonly DescribedException[]): string[] {
  const more = exceptions.length - exceptionsShown;
  return [
    ...exceptions.slice(0, exceptionsShown).map(({ path, reason }) => `exception: ${path}: ${reason}`),
    ...(more > 0 ? [`and ${formatCount(more)} more exceptions`] : []),
  ];
}

function describeOutcome(
  { record, rounds, dropped, stale, wastedBytes }: SnapshotOutcome,
  { directory, isNew }: { directory: string; isNew: boolean },
): Outcome {
  const { id, client, files, bytes, newBytes, bytesFromSource, peers, seconds, exceptions } = record;
  const described = exceptions.map(describeException);
  return {
    result: {
      type: 'summary',
      snapshot: id,
      files,
      bytes,
      newBytes,
      fromSource: bytesFromSource,
      peers,
      seconds,
      client,
      time: timeName(record.timeNs),
      onlyAtSource: record.bytesOnlyAtSource,
      sourceUse: record.sourceUse,
      storedBytes: record.storedBytes,
      rounds,
      dropped: dropped.map(({ peer, reason }) => ({ peer, reason: reason.kind })),
      staleCount: stale.reduce((sum, { blocks }) => sum + blocks, 0),
      stale,
      wastedBytes,
      exceptions: described,
    },
    lines: [
      ...(isNew ? [`made the store ${directory}`] : []),
      ...exceptionLines(described),
      `snapshot ${client}/${timeName(record.timeNs)} (${id.slice(0, 8)}): ${formatCount(files)} files, ${formatBytes(bytes)}`,
      ...shareLines(record),
      ...dropped.map(({ peer, reason }) => `${peer} was not asked any more: ${reason.message}`),
      ...stale.map(
        ({ peer, blocks }) =>
          `${peer} lacked ${formatCount(blocks)} blocks that it was said to hold; the repository knows`,
      ),
    ],
    exitCode: exceptions.length === 0 ? exitCodes.ok : exitCodes.incomplete,
  };
}
