/** Other members as a source of blocks for a restore: there if this machine is a member of the store's domain. */
import { createDigester } from '../core/digest.ts';
import { systemTimers } from '../core/timers.ts';
import { openRepositoryClient } from '../remote/repository-client.ts';
import { PeerFetcher } from '../snapshot/fetch-blocks.ts';
import { Pace } from '../snapshot/pacing.ts';
import { PeerDirectory } from '../snapshot/peer-directory.ts';
import { speedsOfUse } from '../snapshot/peer-speeds.ts';
import { calendarAt, rateAt } from '../snapshot/serving-policy.ts';
import type { Store } from '../store/store.ts';
import { type Call, flagOption, stateDirectoryOf } from './command.ts';
import { connectPeer } from './connect-peer.ts';
import { loadMembership } from './membership.ts';
import { loadPeerSpeeds, savePeerSpeeds } from './peer-speeds-file.ts';
import { loadSettings } from './settings.ts';

export interface RestorePeers extends AsyncDisposable {
  readonly fetcher: PeerFetcher;
  /** Remembers how fast the peers were. */
  remember(): Promise<void>;
}

/** Undefined for a machine that has not joined, or another domain than the store is of. */
export async function openRestorePeers(call: Call, store: Store): Promise<RestorePeers | undefined> {
  const stateDirectory = stateDirectoryOf(call);
  const { joined, domain } = (await loadMembership(stateDirectory)) ?? {};
  if (joined === undefined || domain?.id !== store.domain.id) return undefined;
  const { clock, log } = call;
  const { download } = await loadSettings(stateDirectory);
  const { identity, repositoryUrl } = joined;
  const repository = openRepositoryClient({ identity, url: repositoryUrl });
  const known = await loadPeerSpeeds(stateDirectory, log);
  const pace = new Pace({ clock, timers: systemTimers });
  const directory = new PeerDirectory((options) => repository.peers(options));
  const fetcher = new PeerFetcher({
    store,
    holders: repository,
    connect: (peer) => connectPeer(peer, { directory, identity }),
    peerStates: (options) => directory.refresh(options),
    digester: createDigester(store.domain.digestKey),
    clock,
    puller: identity.name,
    sparesStore: flagOption(call, 'spareStore'),
    peerSpeeds: speedsOfUse(known, clock.nowMs()),
    passes: (bytes, signal) => pace.pass(bytes, rateAt(download, calendarAt(clock.nowMs()).minute), signal),
    onProblem: (error) => log.warn({ error }, 'other members are not asked: everything comes from the store'),
  });
  return {
    fetcher,
    remember: () =>
      savePeerSpeeds(stateDirectory, { known, measured: fetcher.shares.speeds, nowMs: clock.nowMs(), log }),
    async [Symbol.asyncDispose]() {
      await fetcher[Symbol.asyncDispose]();
      await repository.close();
    },
  };
}
