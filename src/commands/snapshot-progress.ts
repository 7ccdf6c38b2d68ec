/** Progress of a snapshot in the words of `progress.ts`. */
import type { SnapshotProgress } from '../snapshot/take.ts';
import type { Progress } from './progress.ts';
import { formatShare } from './sizes.ts';

export function reportSnapshotProgress(progress: Progress, report: SnapshotProgress): void {
  switch (report.stage) {
    case 'cut':
      progress.report({ phase: 'cut', done: 0, unit: 'files', fields: { round: report.round } });
      break;
    case 'trees': {
      const { round, objects, blocks, bytes } = report;
      progress.report({ phase: 'trees', done: blocks, unit: 'blocks', fields: { round, objects, bytes } });
      break;
    }
    case 'holders': {
      const { round, blocks, blocksTotal } = report;
      progress.report({ phase: 'holders', done: blocks, total: blocksTotal, unit: 'blocks', fields: { round } });
      break;
    }
    case 'pull': {
      const { round, bytes, bytesTotal, sourceBytes, peers } = report;
      const shares = [...peers, { peer: 'source', bytes: sourceBytes }].filter((share) => share.bytes > 0);
      progress.report({
        phase: 'pull',
        done: bytes,
        total: bytesTotal,
        unit: 'bytes',
        fields: { round, sourceBytes, peers: peers.map((share) => ({ peer: share.peer, bytes: share.bytes })) },
        note: shares.map((share) => `${share.peer} ${formatShare(share.bytes, bytes)}`).join(' · '),
      });
      break;
    }
    case 'seal':
      progress.report({ phase: 'seal', done: 0, unit: 'snapshots' });
      break;
  }
}
