/** A directory for one test of whole programs, which leaves nothing behind however the test ends. */
import { mkdtempSync, realpathSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { cleanUp } from '../../scripts/leftovers.ts';

/**
 * A fresh directory without symlinks. Processes that are started from now on are known by it (TMPDIR); they, what is
 * mounted below it and the directory itself are gone after the test. For one test at a time.
 */
export function ownDirectory(t: TestContext, prefix: string): string {
  const path = realpathSync(mkdtempSync(join(tmpdir(), prefix)));
  const before = process.env.TMPDIR;
  process.env.TMPDIR = path;
  t.after(async () => {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
    await cleanUp(path);
  });
  return path;
}
