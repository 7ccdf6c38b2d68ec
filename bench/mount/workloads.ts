/** The workloads of the mount benchmark, each timed on one side in one round. */
import { cp, mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Command, runTimed } from '../measure.ts';
import type { SourceTree } from './source-tree.ts';

export interface WorkloadContext {
  /** An empty directory of this workload on the side under test. */
  directory: string;
  driver: string;
  tree: SourceTree;
  /** A package project with a lock file and a filled cache, for `npm ci` without the network. */
  project: { directory: string; cache: string };
  /** Makes later reads come from the storage: drops the kernel's caches when allowed. */
  dropCaches(): Promise<void>;
}

export interface Workload {
  name: string;
  /** Seconds of one run; what it needs is made first and not counted. */
  run(context: WorkloadContext): Promise<number>;
}

const smallFiles = 5000;
const nativeSources = join(dirname(fileURLToPath(import.meta.url)), '../../native/src');

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

const seconds = async (command: Command): Promise<number> => (await runTimed(command)).seconds;

const git = 'git -c user.name=bench -c user.email=bench@localhost -c gc.auto=0 -c core.fsmonitor=false';

const unpack = ({ directory, tree }: WorkloadContext) => runTimed(shell(directory, `tar -xf '${tree.archive}'`));

/** A workload on files that a first run of `warm` has already seen. */
const secondTime = (
  name: string,
  prepare: (context: WorkloadContext) => Promise<unknown>,
  script: string,
): Workload => ({
  name,
  async run(context) {
    await prepare(context);
    await runTimed(shell(context.directory, script));
    return seconds(shell(context.directory, script));
  },
});

const onSeenFiles = (name: string): Workload => ({
  name,
  async run(context) {
    await drive(context, 'create', smallFiles);
    await drive(context, name, smallFiles);
    return drive(context, name, smallFiles);
  },
});

export const workloads: Workload[] = [
  onSeenFiles('stat'),
  onSeenFiles('open-read'),
  onSeenFiles('readdir'),
  { name: 'create', run: (context) => drive(context, 'create', smallFiles) },
  {
    name: 'rename',
    async run(context) {
      await drive(context, 'create', smallFiles);
      return drive(context, 'rename', smallFiles);
    },
  },
  {
    name: 'unlink',
    async run(context) {
      await drive(context, 'create', smallFiles);
      await drive(context, 'rename', smallFiles);
      return drive(context, 'unlink', smallFiles);
    },
  },
  { name: 'stream-write', run: (context) => drive(context, 'stream-write', 1024) },
  {
    name: 'stream-read',
    async run(context) {
      await drive(context, 'stream-write', 1024);
      await context.dropCaches();
      return drive(context, 'stream-read', 1024);
    },
  },
  {
    name: 'random-write',
    async run(context) {
      await runTimed(shell(context.directory, 'dd if=/dev/zero of=random bs=1M count=512 conv=fsync status=none'));
      return drive(context, 'random-write', 65_536);
    },
  },
  { name: 'untar', run: async (context) => (await unpack(context)).seconds },
  {
    name: 'git-commit',
    async run(context) {
      await unpack(context);
      return seconds(
        shell(join(context.directory, 'tree'), `git init -q . && ${git} add -A . && ${git} commit -qm all`),
      );
    },
  },
  secondTime(
    'git-status',
    async (context) => {
      await unpack(context);
      const script = `git init -q . && ${git} add -A . && ${git} commit -qm all`;
      await runTimed(shell(join(context.directory, 'tree'), script));
    },
    `${git} -C tree status --porcelain`,
  ),
  secondTime('grep', unpack, 'grep -r covault-is-not-in-here tree || true'),
  secondTime('find', unpack, 'find tree -type f -size +100k > /dev/null'),
  {
    name: 'cp-a',
    async run(context) {
      await unpack(context);
      return seconds(shell(context.directory, 'cp -a tree copy'));
    },
  },
  {
    name: 'rm-rf',
    async run(context) {
      await unpack(context);
      return seconds(shell(context.directory, 'rm -rf tree'));
    },
  },
  {
    name: 'npm-ci',
    async run({ directory, project }) {
      await cp(project.directory, join(directory, 'project'), { recursive: true });
      const script = 'npm ci --offline --ignore-scripts --no-audit --no-fund --loglevel=error';
      return seconds(shell(join(directory, 'project'), script, { npm_config_cache: project.cache }));
    },
  },
  {
    name: 'c-build',
    async run({ directory }) {
      await mkdir(join(directory, 'src'));
      await cp(nativeSources, join(directory, 'src'), { recursive: true });
      // The parts of the engine that need no headers but the system's.
      const script =
        'ls src/*.cc | grep -v -e binding -e addon -e environment | xargs -P 2 -n 1 sh -c \'c++ -std=c++20 -O1 -Isrc -c "$0" -o "$0.o"\'';
      return seconds(shell(directory, script));
    },
  },
];

/** Empties a side between two runs; not counted. */
export async function clearDirectory(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true });
}
