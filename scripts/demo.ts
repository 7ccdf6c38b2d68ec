/**
 * Shows what Covault is for, on this machine and with real files: `npm run demo`, or `npm run -s demo -- --json` for
 * one JSON object on the last line. Leaves nothing behind, however it ends.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, realpathSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { formatBytes } from '../src/commands/sizes.ts';
import { keepThreadPoolAwake } from '../src/commands/thread-pool.ts';
import { demoResult, describeSnapshot } from './demo/report.ts';
import { openStageDisplay } from './demo/stage-display.ts';
import { tellStory } from './demo/story.ts';
import { cleanUp } from './leftovers.ts';

const projectPath = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));

/** Three data directories, their indexes, a store, and room to breathe. */
const neededBytes = 1.6e9;

const { values } = parseArgs({ options: { json: { type: 'boolean', default: false } } });
const interrupted = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => interrupted.abort());
keepThreadPoolAwake();
process.exit(await main());

async function main(): Promise<number> {
  const parent = realpathSync(tmpdir());
  const { bavail, bsize } = statfsSync(parent);
  if (bavail * bsize < neededBytes) {
    process.stderr.write(
      `error: ${parent} has ${formatBytes(bavail * bsize)} free; ${formatBytes(neededBytes)} are needed\n`,
    );
    process.stderr.write('hint: make room, or name a larger place with TMPDIR\n');
    return 8;
  }
  execFileSync(process.execPath, [projectPath('scripts/build-addon.mjs')], { stdio: ['ignore', 2, 2] });
  const directory = mkdtempSync(join(parent, 'covault-demo-'));
  const display = openStageDisplay(process.stderr);
  process.stderr.write('\nCovault: one signature repository, three clients, one secondary, mutual TLS, real files\n\n');
  try {
    const packages = projectPath('node_modules');
    const stories = await tellStory({ directory, packages, display, signal: interrupted.signal });
    const result = demoResult(stories);
    const table = stories.flatMap((story, position) => describeSnapshot(story, position + 1));
    (values.json ? process.stderr : process.stdout).write(`${table.join('\n')}\n\n`);
    if (values.json) process.stdout.write(`${JSON.stringify(result)}\n`);
    return result.ok ? 0 : 1;
  } catch (error) {
    display.end();
    if (interrupted.signal.aborted) process.stderr.write('stopped\n');
    else process.stderr.write(`error: ${error instanceof Error ? error.stack : error}\n`);
    if (values.json) process.stdout.write(`${JSON.stringify({ ok: false, error: String(error) })}\n`);
    return interrupted.signal.aborted ? 130 : 1;
  } finally {
    await cleanUp(directory);
  }
}
