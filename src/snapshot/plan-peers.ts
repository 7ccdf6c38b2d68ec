/** What the planner is told of the peers that hold anything. */
import type { PeerState } from './peer-directory.ts';
import type { PlanPeer } from './plan.ts';

/**
 * One for each name, in their order. What is not known of a peer is left out: the planner has its own idea of it.
 *
 * @param known.speeds bytes per second, as measured lately.
 * @param known.states as the repository said when the plan was made.
 */
export function planPeers(
  names: readonly string[],
  known: { speeds: ReadonlyMap<string, number>; states: ReadonlyMap<string, PeerState> },
): PlanPeer[] {
  return names.map((name) => {
    const bytesPerSecond = known.speeds.get(name);
    const state = known.states.get(name);
    return {
      live: true,
      ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }),
      ...(state === undefined ? {} : { load: state.load, price: state.price }),
    };
  });
}
