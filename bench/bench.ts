/** One measurement of `npm run bench`. */
export interface Bench {
  usage: string;
  /** @throws TypeError for words that it does not know. */
  run(words: string[]): Promise<void>;
}
