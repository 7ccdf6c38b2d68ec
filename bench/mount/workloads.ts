/**
 * The workloads of the mount benchmark. Those that need the same files are steps of one sequence, so that the files are
 * made once in each round.
 */
import { cp, mkdir, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Command, runTimed } from '../measure.ts';
import { partNames, type SourceTree } from './source-tree.ts';

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

const smallFiles = 2000;
const streamMebibytes = 1024;
const randomWrites = 16_384;
const nativeSources = join(dirname(fileURLToPath(import.meta.url)), '../../native/src');

/** Parts of the engine that need no headers but the system's: about three seconds of compiling on one processor. */
const compiled = ['channel', 'cutter', 'mounted', 'negotiation'];

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
    await drive(context, 'see', smallFiles);
    for (const workload of ['stat', 'open-read', 'readdir']) {
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

/** The archive's parts: what is committed and what is copied, a third of all files each. */
const [committed, copied] = partNames;

const treeSequence: Sequence = {
  name: 'tree',
  workloads: ['untar', 'find', 'grep', 'cp-a', 'git-commit', 'git-status', 'rm-rf'],
  async run({ directory, tree }, note) {
    note('untar', await seconds(directory, `tar -xf '${tree.archive}'`));
    const search = 'grep -r covault-is-not-in-here tree || true';
    const list = 'find tree -type f -size +100k > /dev/null';
    await seconds(directory, `${search}; ${list}`);
    note('find', await seconds(directory, list));
    note('grep', await seconds(directory, search));
    note('cp-a', await seconds(directory, `cp -a tree/${copied} copy`));
    const repository = join(directory, 'tree', committed);
    const commit = `git init -q . && ${git} add -A . && ${git} commit -qm all`;
    note('git-commit', await seconds(repository, commit));
    const status = `${git} status --porcelain`;
    await seconds(repository, status);
    note('git-status', await seconds(repository, status));
    await rename(join(repository, '.git'), join(directory, 'repository'));
    note('rm-rf', await seconds(directory, 'rm -rf tree'));
  },
};

/** Without the largest packages, the tools for development: they are a few big files, which other workloads have. */
export const npmCi = 'ci --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error'.split(' ');

const packageSequence: Sequence = {
  name: 'npm-ci',
  workloads: ['npm-ci'],
  async run({ directory, project }, note) {
    await cp(project.directory, join(directory, 'project'), { recursive: true });
    const script = `npm ${npmCi.join(' ')} --offline`;
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
  packageSequence,
  buildSequence,
];
