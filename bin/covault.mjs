#!/usr/bin/env node
/**
 * Starts Covault under a Node.js that runs it: this one if it is new enough, else the one that `npm ci` installed
 * beside it. Plain JavaScript for Node 20. The child gets every signal this process gets, and this process ends as
 * the child does.
 *
 * What the engine compiles is kept in the user's cache directory, which makes a short command three times faster.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import module from 'node:module';
import { constants, homedir } from 'node:os';
import { join } from 'node:path';
import process, { argv, env, execPath, exit, getuid, stderr, versions } from 'node:process';
import { fileURLToPath } from 'node:url';

/** The oldest major version that strips types and has zstd and Argon2 built in. */
const neededMajor = 24;
const mainPath = fileURLToPath(new URL('../src/main.ts', import.meta.url));

const cache = compileCache();
if (Number(versions.node.split('.')[0]) >= neededMajor) {
  if (cache !== undefined) module.enableCompileCache(cache);
  await import('../src/main.ts');
} else {
  runUnder(pinnedNode());
}

function pinnedNode() {
  const path = fileURLToPath(new URL('../node_modules/node/bin/node', import.meta.url));
  if (existsSync(path)) return path;
  stderr.write(`error: Covault needs Node.js ${neededMajor} or newer; ${execPath} is ${versions.node}\n`);
  stderr.write('hint: run `npm ci` where Covault is, which installs one beside it\n');
  exit(10);
}

/** A directory that nobody else can write to, since what is in it is run; undefined: without. */
function compileCache() {
  try {
    const directory = join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'covault', 'compiled');
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const { uid, mode } = statSync(directory);
    return uid === getuid() && (mode & 0o022) === 0 ? directory : undefined;
  } catch {
    return undefined;
  }
}

function runUnder(node) {
  const child = spawn(node, [mainPath, ...argv.slice(2)], {
    stdio: 'inherit',
    env: cache === undefined ? env : { NODE_COMPILE_CACHE: cache, ...env },
  });
  // A terminal sends its signals to both processes; the child takes two within a moment for one.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2']) {
    process.on(signal, () => child.kill(signal));
  }
  child.on('error', (error) => {
    stderr.write(`error: cannot start ${node}: ${error.message}\n`);
    exit(10);
  });
  child.on('exit', (code, signal) => {
    if (signal === null) exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
    // Only reached for a signal whose default is not to end the process.
    setTimeout(() => exit(128 + constants.signals[signal]), 100);
  });
}
