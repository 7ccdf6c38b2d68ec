/**
 * Block groups: blocks with the same holders gathered until they are worth a request. The unit of planning.
 */

export interface BlockGroups {
  /** Block numbers, group by group; within a group in file order. */
  order: Uint32Array;
  /** Group g is `order[starts[g]]` to `order[starts[g + 1] - 1]`; one more item than there are groups. */
  starts: Uint32Array;
  /** Bytes of each group. */
  bytes: Float64Array;
  /** Holder set of each group. */
  sets: Uint32Array;
}

/**
 * Gathers blocks into groups of at most `groupBytes` (a longer block is a group by itself). Groups are numbered by
 * their first block in file order. Linear in the number of blocks.
 *
 * @param lengths bytes of each block, in file order.
 * @param setOf holder set of each block, below `setCount`.
 */
export function gatherGroups(
  lengths: Uint32Array,
  setOf: Uint32Array,
  options: { setCount: number; groupBytes: number },
): BlockGroups {
  const groupOf = new Uint32Array(lengths.length);
  /** The group being filled for each set, plus one. */
  const open = new Uint32Array(options.setCount);
  const bytes: number[] = [];
  const sets: number[] = [];
  for (let block = 0; block < lengths.length; block++) {
    const set = setOf[block] as number;
    const length = lengths[block] as number;
    let group = (open[set] as number) - 1;
    if (group < 0 || (bytes[group] as number) + length > options.groupBytes) {
      group = bytes.length;
      bytes.push(0);
      sets.push(set);
      open[set] = group + 1;
    }
    bytes[group] = (bytes[group] as number) + length;
    groupOf[block] = group;
  }
  return { ...orderByGroup(groupOf, bytes.length), bytes: Float64Array.from(bytes), sets: Uint32Array.from(sets) };
}

/** A counting sort of the blocks by their group. */
function orderByGroup(groupOf: Uint32Array, groupCount: number): { order: Uint32Array; starts: Uint32Array } {
  const starts = new Uint32Array(groupCount + 1);
  for (const group of groupOf) starts[group + 1] = (starts[group + 1] as number) + 1;
  for (let group = 0; group < groupCount; group++) {
    starts[group + 1] = (starts[group + 1] as number) + (starts[group] as number);
  }
  const next = starts.slice();
  const order = new Uint32Array(groupOf.length);
  for (let block = 0; block < groupOf.length; block++) {
    const group = groupOf[block] as number;
    order[next[group] as number] = block;
    next[group] = (next[group] as number) + 1;
  }
  return { order, starts };
}
