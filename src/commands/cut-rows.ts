/** What `covault status` shows of cuts. */
import type { CutCounters } from '../fs/session.ts';
import { formatBytes, formatCount, formatSeconds } from './sizes.ts';

/** What open cuts cost: space, and for how long changes were held up. */
export function cutRows(cuts: Record<string, unknown>): string[][] {
  const number = (name: keyof CutCounters) => Number(cuts[name]);
  const open = (cuts.open as CutCounters['open']).map(({ ageMs }) => formatSeconds(ageMs / 1000));
  const isOpen = open.length === 0 ? 'none open' : `${open.length} open (for ${open.join(', ')})`;
  const kept = `${formatBytes(number('spaceBytes'))} of ${formatBytes(number('spaceBytesMax'))} kept`;
  const failed = number('failed') > 0 ? `, ${formatCount(number('failed'))} FAILED` : '';
  const rows = [['cuts', `${isOpen}, ${kept}${failed}`]];
  if (number('opened') === 0) return rows;
  const held = `${formatMs(number('heldLastNs') / 1e6)} by the last, p99 ${formatMs(number('heldP99Ns') / 1e6)}`;
  rows.push(['', `changes held up for ${held}; flushing took ${formatMs(number('flushLastMs'))}`]);
  return rows;
}

function formatMs(ms: number): string {
  return `${ms.toFixed(1)} ms`;
}
