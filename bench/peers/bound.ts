/** The least time in which links and holders allow a set of blocks to be pulled. */

export interface Holding {
  bytes: number;
  /** Who may send them: positions in `rates`. */
  holders: readonly number[];
}

/**
 * Seconds. A set of hosts must send at least what nobody else holds, and cannot send faster than its links together;
 * the largest such quotient over all sets is what the best assignment takes (max-flow min-cut for divisible work), and
 * nothing is faster than the receiver's own link.
 *
 * @param rates payload bytes a second of each host; at most 16 hosts.
 * @param receiver payload bytes a second of who pulls.
 */
export function lowerBound(holdings: readonly Holding[], rates: readonly number[], receiver: number): number {
  const masks = holdings.map(({ holders }) => holders.reduce((mask, holder) => mask | (1 << holder), 0));
  const total = holdings.reduce((sum, { bytes }) => sum + bytes, 0);
  let bound = total / receiver;
  for (let set = 1; set < 1 << rates.length; set++) {
    const speed = rates.reduce((sum, rate, host) => sum + (set & (1 << host) ? rate : 0), 0);
    const bytes = holdings.reduce((sum, holding, at) => sum + ((masks[at] as number) & ~set ? 0 : holding.bytes), 0);
    bound = Math.max(bound, bytes / speed);
  }
  return bound;
}
