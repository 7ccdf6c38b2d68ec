/** The manual has every command, option and exit status, and nothing that is not there. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { commonOptions } from '../../src/commands/command.ts';
import { loadCommands } from '../../src/commands/commands.ts';
import { exitCodes } from '../../src/core/exit-codes.ts';

const manual = readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8');
const commands = await loadCommands([]);

/** The section of a command: from its heading to the next. */
function sectionOf(heading: string): string {
  const start = manual.indexOf(`\n### ${heading}\n`);
  assert.ok(start >= 0, `the manual has a section "${heading}"`);
  const end = manual.indexOf('\n### ', start + 1);
  return manual.slice(start, end < 0 ? undefined : end);
}

for (const { name, parameters, options } of commands) {
  test(`covault ${name} is in the manual with all its options`, () => {
    const section = sectionOf(['covault', name, ...parameters.map((parameter) => parameter.name)].join(' ').trim());
    for (const { flags } of options) assert.ok(section.includes(`\`${flags}\``), flags);
  });
}

test('options for all commands are in the manual', () => {
  for (const { flags } of commonOptions) assert.ok(manual.includes(`\`${flags}\``), flags);
});

test('the manual describes no command that is not there', () => {
  const described = [...manual.matchAll(/^### covault (.+)$/gm)].map(([, words]) => words);
  const there = commands.map(({ name, parameters }) => [name, ...parameters.map((p) => p.name)].join(' '));
  assert.deepEqual(described.sort(), there.sort());
});

test('every exit status is in the manual', () => {
  for (const status of Object.values(exitCodes)) assert.match(manual, new RegExp(`^\\| ${status} \\|`, 'm'));
});

test('a command names only exit statuses that exist', () => {
  const known: readonly number[] = Object.values(exitCodes);
  for (const { name, exitCodes: named } of commands) {
    for (const status of named) assert.ok(known.includes(status), `${name}: ${status}`);
  }
});
