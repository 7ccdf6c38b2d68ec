/**
 * What the long suites of `test/long` share: seed, duration and amount as the caller of `npm run test:long` wants them,
 * and lines that tell how far a test has come.
 */

/** At most one line of progress in so many milliseconds. */
const progressEveryMs = 10_000;

/** Where random decisions start; the same seed repeats a run. Printed by the script, which makes one up if none is given. */
export function longSeed(): number {
  return positiveInteger('COVAULT_LONG_SEED') ?? 1;
}

/** How long a suite that could go on for ever does so, milliseconds. */
export function longDurationMs(standardSeconds: number): number {
  return (positiveInteger('COVAULT_LONG_SECONDS') ?? standardSeconds) * 1000;
}

/** How much a suite of a given amount does: files, steps, histories. */
export function longCount(standard: number): number {
  return positiveInteger('COVAULT_LONG_COUNT') ?? standard;
}

/** @throws Error for a variable that is set to something else than a positive integer. */
function positiveInteger(name: string): number | undefined {
  const text = process.env[name];
  if (text === undefined || text === '') return undefined;
  if (!/^[1-9]\d{0,9}$/.test(text)) throw new Error(`${name} must be a positive integer, not "${text}"`);
  return Number(text);
}

/** Tells every few seconds how many of `total` are done; with a total that is not known, only how many. */
export function createProgress(what: string, total?: number): (done: number) => void {
  const startedMs = performance.now();
  let nextMs = startedMs + progressEveryMs;
  return (done) => {
    const nowMs = performance.now();
    if (nowMs < nextMs) return;
    nextMs = nowMs + progressEveryMs;
    const of = total === undefined ? '' : ` of ${total.toLocaleString('en')}`;
    const seconds = Math.round((nowMs - startedMs) / 1000);
    process.stdout.write(`${what}: ${done.toLocaleString('en')}${of}, ${seconds} s\n`);
  };
}
