/** The directory in the golden store: made from numbers alone, so that the test needs no second copy of it. */
import { type Directory, testBytes } from './store-fixture.ts';

export const goldenPassword = 'golden \u00e9';

/** Compressible and random blocks, a recipe of its own, an empty file, shared blocks. */
export const goldenDirectories: readonly Directory[] = [
  {
    empty: [],
    text: [testBytes(1, 3000, 16)],
    random: [testBytes(2, 3000), testBytes(3, 17)],
    deep: { er: { long: Array.from({ length: 6 }, (_, position) => testBytes(10 + position, 400, 60)) } },
  },
  { text: [testBytes(1, 3000, 16)], deep: { er: { changed: [testBytes(4, 900)] } } },
];
