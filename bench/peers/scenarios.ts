/** What happens in each scenario of the peer benchmark. */
import type { Layout } from './data.ts';
import { type Fleet, peerName, sourceName } from './fleet.ts';
import type { LyingMode } from './lying-client.ts';
import type { Midway } from './take-copy.ts';

export type LayoutName = 'held100' | 'large' | 'held90' | 'held50' | 'held0';

/** `scale`: how many times the bytes of the others. */
export const layouts: Record<LayoutName, Layout & { scale: number }> = {
  held90: { held: 0.9, copies: 3, peers: 4, scale: 1 },
  held50: { held: 0.5, copies: 3, peers: 4, scale: 0.5 },
  held0: { held: 0, copies: 0, peers: 4, scale: 0.5 },
  // Where the aim is a time: what does not grow with the bytes shall weigh as little as in a backup of a home directory.
  large: { held: 1, copies: 3, peers: 4, scale: 4 },
  held100: { held: 1, copies: 3, peers: 4, scale: 1 },
};

/** Megabits a second of the source and of the four peers. */
export type Rates = [source: number, ...peers: number[]];

/**
 * So slow that links decide and not the processors, which all hosts of the benchmark share. Those of `unequal links`
 * are given.
 */
export const equalRates: Rates = [50, 20, 20, 20, 20];
export const manyName = 'eight secondaries';

export interface Scenario {
  name: string;
  layout: LayoutName;
  rates: Rates;
  midway?(fleet: Fleet): Midway;
  /** Puts right what `midway` did. */
  afterwards?(fleet: Fleet): void | Promise<void>;
  /** Peers that the lower bound does without: their positions. */
  lostPeers?: readonly number[];
  /** A fifth peer takes part, which holds everything and serves it like this. */
  liar?: LyingMode;
}

const signalTo = (name: string, signal: NodeJS.Signals) => (fleet: Fleet) => ({
  after: 0.3,
  act: () => void fleet.client(name).daemon.child.kill(signal),
});

const second = peerName(1);
const third = peerName(2);

/** Those that are one snapshot with something happening; in this order, since a dead peer stays dead. */
export const scenarios: Scenario[] = [
  { name: 'held 90 %', layout: 'held90', rates: [50, 50, 50, 50, 50] },
  { name: 'slow source', layout: 'held90', rates: [10, 100, 100, 100, 100] },
  { name: 'held 50 %', layout: 'held50', rates: [50, 50, 50, 50, 50] },
  { name: 'held 0 %', layout: 'held0', rates: [50, 50, 50, 50, 50] },
  { name: 'equal links', layout: 'large', rates: equalRates },
  { name: 'unequal links', layout: 'large', rates: [100, 100, 50, 20, 5] },
  { name: 'held 100 %', layout: 'held100', rates: equalRates },
  {
    name: 'repository restarts',
    layout: 'held100',
    rates: equalRates,
    midway: (fleet) => ({
      after: 0.3,
      act: async () => {
        await fleet.stopRepository();
        await fleet.startRepository();
      },
    }),
  },
  {
    name: 'peer stalls',
    layout: 'held100',
    rates: equalRates,
    lostPeers: [1],
    midway: signalTo(second, 'SIGSTOP'),
    afterwards: (fleet) => void fleet.client(second).daemon.child.kill('SIGCONT'),
  },
  {
    name: 'peer is cut off',
    layout: 'held100',
    rates: equalRates,
    lostPeers: [1],
    midway: (fleet) => ({ after: 0.3, act: () => fleet.hosts.setConnected(second, false) }),
    afterwards: (fleet) => fleet.hosts.setConnected(second, true),
  },
  {
    name: 'peer drops to 1 %',
    layout: 'held100',
    rates: equalRates,
    lostPeers: [1],
    midway: (fleet) => ({ after: 0.3, act: () => fleet.hosts.setRate(second, (equalRates[2] as number) / 100) }),
  },
  ...(['wrong', 'short', 'endless', 'old', 'denies'] as const).map(
    (liar): Scenario => ({ name: `peer lies: ${liar}`, layout: 'held100', rates: equalRates, liar }),
  ),
  { name: 'peer dies', layout: 'held100', rates: equalRates, lostPeers: [2], midway: signalTo(third, 'SIGKILL') },
];

export function setRates(fleet: Fleet, [source, ...peers]: Rates): void {
  fleet.hosts.setRate(sourceName, source);
  for (const [rank, rate] of peers.entries()) fleet.hosts.setRate(peerName(rank), rate);
}
