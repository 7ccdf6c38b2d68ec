/**
 * Builds the addon, `native/build/Release/covault.node`, unless it is already that of the present sources.
 *
 *   node scripts/build-addon.mjs [--strict] [--sanitize address,undefined]
 *
 *   --strict    warnings are errors
 *   --sanitize  builds with sanitizers, whose run-time libraries must then be preloaded; the next plain call builds anew
 *
 * Plain JavaScript for the oldest Node that may run it. Uses the node-gyp inside npm and the headers inside the pinned
 * `node` package, so that nothing is downloaded. Says nothing when all is well; ends with status 0, with 10 if
 * something needed is missing on this machine, and with 1 if the compiler refused.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, delimiter, dirname, join } from 'node:path';
import { arch, argv, env, execPath, exit, platform, stderr, version } from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { missingExitCode } from './requirements.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const native = join(root, 'native');

/** How long to wait for another build of the same tree, in milliseconds. */
const lockWaitMs = 10 * 60_000;

const keptHeaders = join(native, 'build', 'headers');

/**
 * The directory with `include/node` for the Node that runs Covault, or undefined. The pinned package loses its headers
 * with the next `npm install`, so they are kept beside the build (`keepHeaders`).
 */
function findHeaders() {
  const name = `node-${platform}-${arch}`;
  const inPackage = join(root, 'node_modules', 'node', 'node_modules', name);
  const besideIt = join(root, 'node_modules', name);
  const ofThisNode = dirname(dirname(execPath));
  const places = [inPackage, besideIt, keptHeaders, ofThisNode, '/usr/local', '/usr'];
  return places.find((folder) => existsSync(join(folder, 'include', 'node', 'node_api.h')));
}

/** Where the headers are to be used: copied there unless they are the system's. */
function keepHeaders(headers) {
  if (headers === keptHeaders || !headers.startsWith(root)) return headers;
  rmSync(keptHeaders, { recursive: true, force: true });
  cpSync(join(headers, 'include', 'node'), join(keptHeaders, 'include', 'node'), { recursive: true });
  return keptHeaders;
}

/** The node-gyp that belongs to npm: the one npm names to its scripts, or the one beside the npm on PATH. */
function findNodeGyp() {
  const named = env.npm_config_node_gyp;
  if (named && existsSync(named)) return named;
  const places = [...(env.PATH ?? '').split(delimiter), dirname(execPath)];
  for (const place of places) {
    try {
      const npm = realpathSync(join(place || '.', 'npm'));
      return createRequire(npm).resolve('node-gyp/bin/node-gyp.js');
    } catch {
      // No npm here, or one without node-gyp: look further.
    }
  }
  return undefined;
}

/** Changes whenever the addon must be built again. */
function fingerprint({ headers, options }) {
  const sources = readdirSync(join(native, 'src')).sort();
  const files = [
    ...sources.map((name) => join(native, 'src', name)),
    join(native, 'binding.gyp'),
    join(headers, 'include', 'node', 'node_version.h'),
    join(root, 'node_modules', 'node-addon-api', 'package.json'),
  ];
  const hash = createHash('sha256').update(JSON.stringify(options));
  for (const file of files) hash.update(`\n${basename(file)}\n`).update(readFileSync(file));
  return hash.digest('hex');
}

/** Runs `work` while no other process builds the same tree. */
function withLock(work) {
  const lock = join(native, 'build', 'building');
  mkdirSync(dirname(lock), { recursive: true });
  const deadline = Date.now() + lockWaitMs;
  for (;;) {
    try {
      writeFileSync(lock, String(process.pid), { flag: 'wx' });
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      if (!isAlive(lock)) rmSync(lock, { force: true });
      else if (Date.now() > deadline) throw new Error(`another build does not end; if there is none, remove ${lock}`);
      else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
    }
  }
  try {
    return work();
  } finally {
    rmSync(lock, { force: true });
  }
}

function isAlive(lock) {
  try {
    const pid = Number(readFileSync(lock, 'utf8'));
    if (pid === 0) return true; // Just made, its number not yet written.
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function missing(what, hint) {
  stderr.write(`The addon cannot be built: ${what}\nhint: ${hint}\n`);
  return missingExitCode;
}

function compile({ nodeGyp, headers, options }) {
  const variables = [`-Dsanitize=${options.sanitize}`, `-Dstrict=${options.strict ? 1 : 0}`];
  const base = [nodeGyp, '--directory', native, '--nodedir', headers, '--release', '--jobs', 'max'];
  for (const step of [['configure', '--', ...variables], ['build']]) {
    const [command, ...rest] = step;
    // npm's settings of the user must not send node-gyp elsewhere for its headers.
    const own = { ...env, npm_config_nodedir: headers, npm_config_devdir: join(native, 'build', 'devdir') };
    const result = spawnSync(execPath, [base[0], command, ...base.slice(1), ...rest], {
      env: own,
      encoding: 'utf8',
      maxBuffer: 256 * 1024 * 1024,
    });
    if (result.status !== 0) {
      stderr.write(`${result.stdout ?? ''}${result.stderr ?? ''}`);
      stderr.write(`The addon cannot be built: node-gyp ${command} failed (see above)\n`);
      stderr.write('hint: look for the first "error:" above; `rm -r native/build` starts from nothing\n');
      return 1;
    }
  }
  return 0;
}

function main() {
  const { values } = parseArgs({
    args: argv.slice(2),
    options: { strict: { type: 'boolean', default: false }, sanitize: { type: 'string', default: '' } },
  });
  const headers = findHeaders();
  if (!headers) return missing(`no headers of Node.js for ${platform}-${arch}`, 'run `npm ci`');
  if (!existsSync(join(root, 'node_modules', 'node-addon-api'))) return missing('no node-addon-api', 'run `npm ci`');
  const options = { strict: values.strict, sanitize: values.sanitize };
  const addon = join(native, 'build', 'Release', 'covault.node');
  const stamp = join(native, 'build', 'Release', 'covault.stamp');
  const isCurrent = () => {
    if (!existsSync(addon) || !existsSync(stamp)) return false;
    const [ofStrict, ofPlain] = [true, false].map((strict) =>
      fingerprint({ headers, options: { ...options, strict } }),
    );
    const made = readFileSync(stamp, 'utf8');
    // What was built strictly serves those who do not ask for it as well.
    return made === ofStrict || (!options.strict && made === ofPlain);
  };
  if (isCurrent()) return 0;
  const tools = spawnSync(execPath, [join(root, 'scripts', 'requirements.mjs'), 'build'], { stdio: 'inherit' });
  if (tools.status !== 0) return tools.status ?? 1;
  const nodeGyp = findNodeGyp();
  if (!nodeGyp) return missing(`npm with node-gyp (this is Node.js ${version})`, 'install npm, or run `npm run build`');
  return withLock(() => {
    if (isCurrent()) return 0;
    if (stderr.isTTY) stderr.write('Building the addon, about a minute…\n');
    const made = fingerprint({ headers, options });
    rmSync(stamp, { force: true });
    const status = compile({ nodeGyp, headers: keepHeaders(headers), options });
    if (status === 0) writeFileSync(stamp, made);
    return status;
  });
}

exit(main());
