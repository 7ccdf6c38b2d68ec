/**
 * The workloads of the mount benchmark. Those that need the same files are steps of one sequence, so that the files are
 * made once in each round.
 */
import { cp, mkdir, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Command, runTimed } from '../measure.ts';
import type { SourceTree } from './source-tree.ts';

export interface WorkloadContext {
  /** On the side under test: an empty directory of this run, or what `prepare` filled. */
  directory: string;
  driver: string;
  tree: SourceTree;
  /** A package project with a lock file and a filled cache, for `npm ci` without the network. */
  project: { directory: string; cache: string };
  /** Makes later reads come from the storage: drops the kernel's caches when allowed. */
  dropCaches(): Promise<void>;
}

/** Notes the seconds of one workload. */
export type Note = (workload: string, seconds: number) => void;

export interface Sequence {
  name: string;
  workloads: readonly string[];
  /** Fills the directory of a side once, before the first round; without it every run has an empty directory. */
  prepare?(context: WorkloadContext): Promise<void>;
  run(context: WorkloadContext, note: Note): Promise<void>;
}

const smallFiles = 3000;
const streamMebibytes = 1024;
const randomWrites = 65_536;
const nativeSources = join(dirname(fileURLToPath(import.meta.url)), '../../native/src');

/** Parts of the engine that need no headers but the system's: about five seconds of compiling on one processor. */
const compiled = ['channel', 'credentials', 'cutter', 'mounted', 'negotiation', 'request', 'uring'];

const drive = async (context: WorkloadContext, workload: string, count: number): Promise<number> => {
  const command = { program: context.driver, args: [workload, context.directory, String(count)], directory: '/' };
  return Number((await runTimed(command)).output);
};

const shell = (directory: string, script: string, env: NodeJS.ProcessEnv = {}): Command => ({
  program: 'sh',
  args: ['-ec', script],
  directory,
  env,
});

const seconds = async (directory: string, script: string, env?: NodeJS.ProcessEnv): Promise<number> =>
  (await runTimed(shell(directory, script, env))).seconds;

const git = 'git -c user.name=bench -c user.email=bench@localhost -c gc.auto=0 -c core.fsmonitor=false';

const smallFileSequence: Sequence = {
  name: 'small-files',
  workloads: ['create', 'stat', 'open-read', 'readdir', 'rename', 'unlink'],
  async run(context, note) {
    note('create', await drive(context, 'create', smallFiles));
    for (const workload of ['stat', 'open-read', 'readdir']) {
      await drive(context, workload, smallFiles);
      note(workload, await drive(context, workload, smallFiles));
    }
    note('rename', await drive(context, 'rename', smallFiles));
    note('unlink', await drive(context, 'unlink', smallFiles));
  },
};

const streamSequence: Sequence = {
  name: 'stream',
  workloads: ['stream-write', 'stream-read'],
  async run(context, note) {
    note('stream-write', await drive(context, 'stream-write', streamMebibytes));
    await context.dropCaches();
    note('stream-read', await drive(context, 'stream-read', streamMebibytes));
  },
};

const randomWriteSequence: Sequence = {
  name: 'random-write',
  workloads: ['random-write', 'random-write-fsync'],
  async prepare({ directory }) {
    await runTimed(shell(directory, 'dd if=/dev/zero of=random bs=1M count=512 conv=fsync status=none'));
  },
  async run(context, note) {
    note('random-write', await drive(context, 'random-write', randomWrites));
    await runTimed({ program: 'sync', args: [], directory: '/' });
    note('random-write-fsync', await drive(context, 'random-write-fsync', randomWrites));
  },
};

const treeSequence: Sequence = {
  name: 'tree',
  workloads: ['untar', 'find', 'grep', 'git-commit', 'git-status', 'rm-rf'],
  async run({ directory, tree }, note) {
    const secondTime = async (script: string) => {
      await seconds(directory, script);
      return seconds(directory, script);
    };
    note('untar', await seconds(directory, `tar -xf '${tree.archive}'`));
    note('find', await secondTime('find tree -type f -size +100k > /dev/null'));
    note('grep', await secondTime('grep -r covault-is-not-in-here tree || true'));
    const commit = `git init -q . && ${git} add -A . && ${git} commit -qm all`;
    note('git-commit', await seconds(join(directory, 'tree'), commit));
    note('git-status', await secondTime(`${git} -C tree status --porcelain`));
    await rename(join(directory, 'tree/.git'), join(directory, 'repository'));
    note('rm-rf', await seconds(directory, 'rm -rf tree'));
  },
};

/** Apart from the others: who keeps a descriptor for each file that was seen may run out of them here. */
const copySequence: Sequence = {
  name: 'copy',
  workloads: ['cp-a'],
  async run({ directory, tree }, note) {
    await seconds(directory, `tar -xf '${tree.archive}'`);
    note('cp-a', await seconds(directory, 'cp -a tree copy'));
  },
};

const packageSequence: Sequence = {
  name: 'npm-ci',
  workloads: ['npm-ci'],
  async run({ directory, project }, note) {
    await cp(project.directory, join(directory, 'project'), { recursive: true });
    const script = 'npm ci --offline --ignore-scripts --no-audit --no-fund --loglevel=error';
    note('npm-ci', await seconds(join(directory, 'project'), script, { npm_config_cache: project.cache }));
  },
};

const buildSequence: Sequence = {
  name: 'c-build',
  workloads: ['c-build'],
  async run({ directory }, note) {
    await mkdir(join(directory, 'src'));
    await cp(nativeSources, join(directory, 'src'), { recursive: true });
    const compile = `c++ -std=c++20 -O1 -Isrc -c "src/$0.cc" -o "src/$0.o"`;
    const script = `printf '%s\\n' ${compiled.join(' ')} | xargs -P 2 -n 1 sh -c '${compile}'`;
    // A compiler behind ccache would compile on the first side only.
    note('c-build', await seconds(directory, script, { CCACHE_DISABLE: '1' }));
  },
};

export const sequences: readonly Sequence[] = [
  smallFileSequence,
  streamSequence,
  randomWriteSequence,
  treeSequence,
  copySequence,
  packageSequence,
  buildSequence,
];
