/** What the killed writer puts into its snapshots, known to the test as well. */
import { type Directory, testBytes } from './store-fixture.ts';

export function killedDirectory(number: number): Directory {
  const blocks = Array.from({ length: 8 }, (_, position) => testBytes(number * 3 + position, 5000));
  return { same: [testBytes(0, 3000)], sub: { [`file ${number}`]: blocks } };
}
