/**
 * The architecture and the style as rules: each takes the project's files and gives one sentence for each breach.
 * `tidy.test.ts` holds the project to them and shows of each that it can fail.
 */
import { basename } from 'node:path';
import { importedPackage, importedPath, importsOf, type SourceFile, withoutComments } from './source.ts';

export type Rule = (files: readonly SourceFile[]) => string[];

export const linesMax = 450;

/** Which stages a stage may import; all may import themselves. Commands and the program may import everything. */
const allowedStages: Record<string, readonly string[]> = {
  core: [],
  fs: ['core'],
  index: ['core'],
  remote: ['core'],
  repository: ['core', 'remote'],
  snapshot: ['core', 'remote'],
  store: ['core'],
  browse: ['core', 'fs'],
};

/** Imports beyond the table: of these the index uses the plain functions, and only the types of the rest of `fs`. */
const nativeDoors = ['src/fs/native.ts', 'src/fs/epoch.ts'];

/** Libraries with one door for each stage that owns tables; any other library has one door in all. */
const doorPerStage = ['lmdb'];

const isCode = (file: SourceFile) => /\.(ts|mjs|cc|h)$/.test(file.path);
const isTypeScript = (file: SourceFile) => /\.(ts|mjs)$/.test(file.path);
const isSource = (file: SourceFile) => file.path.startsWith('src/') && file.path.endsWith('.ts');
const isTest = (file: SourceFile) => file.path.startsWith('test/') && file.path.endsWith('.ts');
/** These name what the rules look for. */
const isRule = (file: SourceFile) => file.path.startsWith('test/tidy');

function stageOf(path: string): string | undefined {
  return /^src\/([^/]+)\//.exec(path)?.[1];
}

export const stagesImportOnlyWhatTheyMay: Rule = (files) =>
  files.filter(isSource).flatMap((file) =>
    importsOf(file).flatMap(({ specifier, typeOnly }) => {
      const target = importedPath(file, specifier);
      if (target === undefined || isAllowed(file.path, target, typeOnly)) return [];
      return [`${file.path} may not import ${target}`];
    }),
  );

function isAllowed(from: string, target: string, typeOnly: boolean): boolean {
  if (!target.startsWith('src/')) return false;
  const stage = stageOf(from);
  if (stage === undefined || stage === 'commands') return true;
  const targetStage = stageOf(target);
  if (targetStage === undefined) return false;
  if (targetStage === stage || allowedStages[stage]?.includes(targetStage)) return true;
  return stage === 'index' && targetStage === 'fs' && (typeOnly || nativeDoors.includes(target));
}

export const stagesAreKnown: Rule = (files) =>
  files.filter(isSource).flatMap(({ path }) => {
    const stage = stageOf(path);
    if (stage === undefined) return path === 'src/main.ts' ? [] : [`${path} belongs to no stage`];
    return stage in allowedStages || stage === 'commands' ? [] : [`${path} is in an unknown stage`];
  });

export const librariesHaveOneDoor: Rule = (files) => {
  const doors = new Map<string, Set<string>>();
  for (const file of files.filter(isSource)) {
    for (const { specifier } of importsOf(file)) {
      const library = importedPackage(specifier);
      if (library === undefined) continue;
      const key = doorPerStage.includes(library) ? `${library} in ${stageOf(file.path)}` : library;
      doors.set(key, (doors.get(key) ?? new Set()).add(file.path));
    }
  }
  return [...doors]
    .filter(([, paths]) => paths.size > 1)
    .map(([library, paths]) => `${library} has more than one door: ${[...paths].join(', ')}`);
};

export const filesAreShort: Rule = (files) =>
  files.filter(isCode).flatMap(({ path, text }) => {
    const lines = text.split('\n').length - 1;
    return lines > linesMax ? [`${path} has ${lines} lines, more than ${linesMax}`] : [];
  });

export const namesSayWhatIsInside: Rule = (files) =>
  files
    .filter(isCode)
    .filter(({ path }) => /^(index|utils?|helpers?|common|misc|shared)\./.test(basename(path)))
    .map(({ path }) => `${path} is a catch-all name`);

export const nothingIsExportedAsDefault: Rule = breach({
  in: isTypeScript,
  pattern: /^export\s+default\b|\bas\s+default\b/m,
  says: 'has a default export',
});

export const noTestIsSwitchedOff: Rule = breach({
  in: isTest,
  pattern: /\.(only|todo)\(|\b(only|todo):\s*true|(test|it|describe|suite)\.skip\(|\bskip:\s*true|\bskip\(\s*\)/,
  says: 'has a test that is switched off or runs alone',
});

export const nothingIsLeftToDo: Rule = (files) =>
  files
    .filter((file) => !isRule(file) && /\b(TODO|FIXME|XXX|HACK)\b/.test(file.text))
    .map(({ path }) => `${path} has a note about work left to do`);

export const onlyTheTerminalDoorPrints: Rule = breach({
  in: (file) => isSource(file) && file.path !== 'src/commands/terminal.ts',
  pattern: /\bconsole\.|\bprocess\.(stdout|stderr|stdin)\b|from 'node:process'/,
  says: 'speaks to the terminal; src/commands/terminal.ts does that',
});

export const onlyTheProgramEndsTheProcess: Rule = breach({
  in: (file) => isSource(file) && file.path !== 'src/main.ts',
  pattern: /\bprocess\.(exit|exitCode|abort|reallyExit)\b/,
  says: 'ends the process; src/main.ts does that',
});

export const onlyOneFileReadsTheEnvironment: Rule = breach({
  in: (file) => isSource(file) && file.path !== 'src/commands/environment.ts',
  pattern: /\bprocess\.(env|argv)\b/,
  says: 'reads the environment; src/commands/environment.ts does that',
});

export const onlyTheClockReadsTimeAndChance: Rule = breach({
  in: (file) => isSource(file) && file.path !== 'src/core/clock.ts',
  pattern:
    /\bDate\.now\b|\bnew Date\(\s*\)|\bMath\.random\b|\bperformance\.now\b|\bhrtime\b|\brandom(Bytes|UUID|Int|Fill|FillSync)\(|\bgetRandomValues\b/,
  says: 'reads time or chance; src/core/clock.ts does that',
});

export const wholeFilesAreWrittenAtomically: Rule = breach({
  in: (file) => isSource(file) && file.path !== 'src/core/atomic-file.ts',
  pattern: /\b(writeFile|writeFileSync|appendFile|appendFileSync|createWriteStream)\b/,
  says: 'writes a file past src/core/atomic-file.ts',
});

export const everyFileSaysWhatItIsFor: Rule = (files) =>
  files
    .filter((file) => /\.(ts|mjs|h)$/.test(file.path))
    .filter(({ text }) => !/^(#!.*\n)?(\/\*|\/\/)/.test(text))
    .map(({ path }) => `${path} does not open with a comment`);

export const everyErrorCodeIsDocumented: Rule = (files) => {
  const errors = files.find(({ path }) => path === 'src/core/errors.ts')?.text ?? '';
  const manual = files.find(({ path }) => path === 'docs/cli.md')?.text ?? '';
  const codes = new Set(withoutComments(errors).match(/\bE_[A-Z_]+\b/g));
  if (codes.size === 0) return ['src/core/errors.ts names no error code'];
  return [...codes].filter((code) => !manual.includes(`\`${code}\``)).map((code) => `docs/cli.md lacks ${code}`);
};

export const noMachineIsNamed: Rule = (files) =>
  files
    .filter((file) => !isRule(file) && /(?<![\w.~})-])\/(home|work|root|Users)\/\w/.test(file.text))
    .map(({ path }) => `${path} names a place on somebody's machine`);

export const temporaryFilesFollowTheSystem: Rule = breach({
  // The benchmark compares storages: it names the one in memory.
  in: (file) => isTypeScript(file) && !isRule(file) && !file.path.startsWith('bench/'),
  pattern: /['"`]\/(tmp|var\/tmp|dev\/shm)\b/,
  says: 'names a temporary directory; use os.tmpdir()',
});

export const lockFileIsNeutralAndComplete: Rule = (files) => {
  const lock = files.find(({ path }) => path === 'package-lock.json');
  if (lock === undefined) return ['package-lock.json is missing'];
  const packages: Record<string, LockedPackage> = JSON.parse(lock.text).packages;
  return Object.entries(packages).flatMap(([path, { integrity, resolved, optionalDependencies = {} }]) => {
    if (path === '') return [];
    const breaches = Object.keys(optionalDependencies)
      .filter((name) => !isLocked(packages, path, name))
      .map((name) => `package-lock.json lacks ${name}, wanted by ${path}`);
    if (integrity === undefined) breaches.push(`package-lock.json has no integrity for ${path}`);
    if (resolved !== undefined) breaches.push(`package-lock.json says where ${path} came from`);
    return breaches;
  });
};

interface LockedPackage {
  integrity?: string;
  resolved?: string;
  optionalDependencies?: Record<string, string>;
}

function isLocked(packages: Record<string, unknown>, from: string, name: string): boolean {
  return `${from}/node_modules/${name}` in packages || `node_modules/${name}` in packages;
}

export const versionsAreExact: Rule = (files) => {
  const manifest = JSON.parse(files.find(({ path }) => path === 'package.json')?.text ?? '{}');
  const sections = ['dependencies', 'optionalDependencies', 'devDependencies', 'overrides'];
  return sections
    .flatMap((section) => Object.entries<string>(manifest[section] ?? {}))
    .filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))
    .map(([name, version]) => `package.json asks for ${name} ${version}, which is not one version`);
};

/** A rule that finds a pattern in code, comments left out. */
function breach(options: { in: (file: SourceFile) => boolean; pattern: RegExp; says: string }): Rule {
  return (files) =>
    files
      .filter((file) => !isRule(file) && options.in(file) && options.pattern.test(withoutComments(file.text)))
      .map(({ path }) => `${path} ${options.says}`);
}
