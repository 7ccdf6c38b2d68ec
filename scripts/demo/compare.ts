/**
 * Compares two directories in a process of its own: `node compare.ts A B`. Prints one JSON object; progress, as the
 * count of bytes compared, one number a line, before it.
 */
import { type Comparison, compareTrees } from '../../src/browse/compare-trees.ts';
import { keepThreadPoolAwake } from '../../src/commands/thread-pool.ts';

const [a, b] = process.argv.slice(2);
if (a === undefined || b === undefined) throw new Error('two directories are needed');
keepThreadPoolAwake();
let toldMs = performance.now();
const comparison: Comparison = await compareTrees(a, b, {
  onProgress: ({ bytes }) => {
    if (performance.now() - toldMs < 100) return;
    toldMs = performance.now();
    process.stdout.write(`${bytes}\n`);
  },
});
const differences = comparison.differences.map((difference) => {
  return `${Buffer.from(difference.path)}: ${difference.aspect}: ${difference.a} / ${difference.b}`;
});
const { identical, files, bytes, differenceCount } = comparison;
process.stdout.write(`${JSON.stringify({ identical, files, bytes, differenceCount, differences })}\n`);
