/** Holds the project to the rules of `tidy/rules.ts`, and shows of each rule that it can fail. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as rules from './tidy/rules.ts';
import { readProject, type SourceFile } from './tidy/source.ts';

const project = readProject();
const ruleNamed = new Map(Object.entries(rules)) as unknown as Map<string, rules.Rule>;

function breaches(name: string, files: readonly SourceFile[]): string[] {
  const rule = ruleNamed.get(name);
  assert.ok(rule, `there is no rule ${name}`);
  return rule(files);
}

function file(path: string, text: string): SourceFile {
  return { path, text };
}

const manifest = (dependencies: object) => file('package.json', JSON.stringify({ dependencies }));
const lock = (packages: object) => file('package-lock.json', JSON.stringify({ packages }));

/** For each rule: files that keep it, and lists of files of which each breaks it. */
const examples: Record<keyof Omit<typeof rules, 'linesMax'>, { kept: SourceFile[]; broken: SourceFile[][] }> = {
  stagesImportOnlyWhatTheyMay: {
    kept: [
      file('src/store/a.ts', "import { x } from '../core/digest.ts';\nimport { y } from './b.ts';\n"),
      file('src/index/a.ts', "import type { S } from '../fs/session.ts';\nimport { cut } from '../fs/native.ts';\n"),
      file('src/commands/a.ts', "import { x } from '../store/a.ts';\n"),
    ],
    broken: [
      [file('src/core/a.ts', "import { x } from '../store/a.ts';\n")],
      [file('src/store/a.ts', "import type { x } from '../remote/a.ts';\n")],
      [file('src/store/a.ts', "const x = await import('../remote/a.ts');\n")],
      [file('src/index/a.ts', "import {\n  x,\n  y,\n} from '../fs/session.ts';\n")],
      [file('src/browse/a.ts', "export { x } from '../store/a.ts';\n")],
      [file('src/browse/a.ts', "import { x } from '../../test/a.ts';\n")],
      [file('src/browse/a.ts', "import { x } from '../main.ts';\n")],
    ],
  },
  stagesAreKnown: {
    kept: [file('src/main.ts', ''), file('src/core/a.ts', ''), file('src/commands/a.ts', '')],
    broken: [[file('src/a.ts', '')], [file('src/extra/a.ts', '')]],
  },
  librariesHaveOneDoor: {
    kept: [
      file('src/core/a.ts', "import { x } from 'undici';\nimport type { y } from 'undici';\n"),
      file('src/index/a.ts', "import { open } from 'lmdb';\n"),
      file('src/repository/a.ts', "import { open } from 'lmdb';\n"),
    ],
    broken: [
      [file('src/a/a.ts', "import { x } from 'undici';\n"), file('src/a/b.ts', "import { y } from 'undici';\n")],
      [file('src/a/a.ts', "import { x } from '@a/b';\n"), file('src/b/b.ts', "import { y } from '@a/b/c';\n")],
      [file('src/a/a.ts', "require('x');\n"), file('src/b/b.ts', "import 'x';\n")],
      [file('src/index/a.ts', "import { x } from 'lmdb';\n"), file('src/index/b.ts', "import { x } from 'lmdb';\n")],
    ],
  },
  filesAreShort: {
    kept: [file('src/a.ts', '\n'.repeat(rules.linesMax)), file('docs/a.md', '\n'.repeat(rules.linesMax + 1))],
    broken: [
      [file('src/a.ts', '\n'.repeat(rules.linesMax + 1))],
      [file('native/src/a.cc', '\n'.repeat(rules.linesMax + 1))],
    ],
  },
  namesSayWhatIsInside: {
    kept: [file('src/index/open-index.ts', '')],
    broken: [[file('src/core/index.ts', '')], [file('native/src/utils.cc', '')], [file('test/helpers.ts', '')]],
  },
  nothingIsExportedAsDefault: {
    kept: [file('src/a.ts', 'export const a = 1;\n// export default\n')],
    broken: [[file('src/a.ts', 'export default a;\n')], [file('src/a.ts', 'export { a as default };\n')]],
  },
  noTestIsSwitchedOff: {
    kept: [file('test/a.test.ts', "test('a', { skip: isRoot ? false : 'needs root' });\nt.skip('no compiler');\n")],
    broken: [
      [file('test/a.test.ts', "test.only('a')")],
      [file('test/a.test.ts', "test.skip('a')")],
      [file('test/a.test.ts', "test('a', { skip: true })")],
      [file('test/a.test.ts', 't.skip()')],
    ],
  },
  nothingIsLeftToDo: {
    kept: [file('src/a.ts', '// what is left to do is in the issues\n')],
    broken: [[file('src/a.ts', '// TODO later\n')], [file('README.md', 'FIXME\n')]],
  },
  onlyTheTerminalDoorPrints: {
    kept: [file('src/commands/terminal.ts', 'process.stdout.write(x)'), file('src/core/a.ts', '// console.log(1)\n')],
    broken: [
      [file('src/core/a.ts', 'console.log(1)')],
      [file('src/commands/mount.ts', 'process.stderr.write(x)')],
      [file('src/commands/mount.ts', "import { stdout } from 'node:process'")],
    ],
  },
  onlyTheProgramEndsTheProcess: {
    kept: [file('src/main.ts', 'process.exit(1)')],
    broken: [[file('src/core/a.ts', 'process.exit(1)')], [file('src/commands/a.ts', 'process.exitCode = 1')]],
  },
  onlyOneFileReadsTheEnvironment: {
    kept: [file('src/commands/environment.ts', 'process.env.HOME')],
    broken: [[file('src/core/a.ts', 'process.env.HOME')], [file('src/main.ts', 'process.argv')]],
  },
  onlyTheClockReadsTimeAndChance: {
    kept: [file('src/core/clock.ts', 'Date.now()'), file('src/core/a.ts', 'new Date(timeMs)')],
    broken: [
      [file('src/core/a.ts', 'Date.now()')],
      [file('src/core/a.ts', 'new Date()')],
      [file('src/core/a.ts', 'Math.random()')],
      [file('src/store/a.ts', 'randomBytes(12)')],
      [file('src/store/a.ts', 'process.hrtime.bigint()')],
    ],
  },
  wholeFilesAreWrittenAtomically: {
    kept: [file('src/core/atomic-file.ts', 'await writeFile(path)')],
    broken: [[file('src/store/a.ts', 'await fs.writeFile(path)')], [file('src/store/a.ts', 'createWriteStream(path)')]],
  },
  everyFileSaysWhatItIsFor: {
    kept: [file('src/a.ts', '/** A. */\n'), file('bin/a.mjs', '#!/usr/bin/env node\n/** A. */\n')],
    broken: [[file('src/a.ts', "import 'a';\n/** A. */\n")], [file('native/src/a.h', '#pragma once\n')]],
  },
  everyErrorCodeIsDocumented: {
    kept: [file('src/core/errors.ts', "type C = 'E_A';"), file('docs/cli.md', '| `E_A` | … |')],
    broken: [
      [file('src/core/errors.ts', "type C = 'E_A' | 'E_AB';"), file('docs/cli.md', '`E_AB`')],
      [file('src/core/errors.ts', ''), file('docs/cli.md', '')],
    ],
  },
  noMachineIsNamed: {
    kept: [file('README.md', 'see ~/backups, ./network/work and https://example.org/home/x')],
    broken: [[file('README.md', 'cd /home/somebody/covault')], [file('src/a.ts', "const x = '/work/main';")]],
  },
  temporaryFilesFollowTheSystem: {
    kept: [file('test/a.test.ts', 'mkdtemp(join(tmpdir(), "covault-"))')],
    broken: [[file('test/a.test.ts', "mkdtemp('/tmp/covault-')")]],
  },
  lockFileIsNeutralAndComplete: {
    kept: [
      lock({
        '': {},
        'node_modules/a': { integrity: 'x', optionalDependencies: { b: '1.0.0' } },
        'node_modules/b': { integrity: 'x' },
      }),
    ],
    broken: [
      [],
      [lock({ 'node_modules/a': {} })],
      [lock({ 'node_modules/a': { integrity: 'x', resolved: 'https://example.org/a.tgz' } })],
      [lock({ 'node_modules/a': { integrity: 'x', optionalDependencies: { b: '1.0.0' } } })],
    ],
  },
  versionsAreExact: {
    kept: [manifest({ a: '1.2.3' })],
    broken: [[manifest({ a: '^1.2.3' })], [manifest({ a: '8' })]],
  },
};

describe('the project', () => {
  for (const name of Object.keys(examples)) {
    test(`keeps the rule ${name}`, () => assert.deepEqual(breaches(name, project), []));
  }
});

describe('a rule', () => {
  for (const [name, { kept, broken }] of Object.entries(examples)) {
    test(`${name} lets pass what keeps it`, () => assert.deepEqual(breaches(name, kept), []));
    test(`${name} names each breach`, () => {
      for (const files of broken) assert.notDeepEqual(breaches(name, files), [], JSON.stringify(files));
    });
  }

  test('is in the table of examples, every one of them', () => {
    const names = Object.keys(rules).filter((name) => name !== 'linesMax');
    assert.deepEqual(names.sort(), Object.keys(examples).sort());
  });
});
