/** Reads the project's own files for the rules of this folder. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface SourceFile {
  /** From the top of the project, "/" between names. */
  path: string;
  text: string;
}

export interface Import {
  /** What stands between the quotes. */
  specifier: string;
  /** Vanishes when types are stripped. */
  typeOnly: boolean;
}

export const projectDirectory = fileURLToPath(new URL('../..', import.meta.url));

const ignoredFolders = ['node_modules', '.git', 'native/build', 'native/test/build', 'coverage', '.tmp'];
const textEndings = ['.ts', '.mjs', '.json', '.md', '.cc', '.h', '.gyp', '.gypi', '.sh', '.html', '.css', '.yml'];

/** Every text file of the project, generated and installed ones left out. */
export function readProject(directory = projectDirectory): SourceFile[] {
  const files: SourceFile[] = [];
  const visit = (folder: string) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const absolute = join(folder, entry.name);
      const path = relative(directory, absolute);
      if (ignoredFolders.includes(path)) continue;
      if (entry.isDirectory()) visit(absolute);
      else if (entry.isFile() && isText(path)) files.push({ path, text: readFileSync(absolute, 'utf8') });
    }
  };
  visit(directory);
  return files;
}

function isText(path: string): boolean {
  return textEndings.some((ending) => path.endsWith(ending)) || path.startsWith('.ci/') || path === 'LICENSE';
}

/** The text with comments blanked out; good enough for code that a formatter has been over. */
export function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1');
}

/** Static, dynamic and `require` imports. */
export function importsOf(file: SourceFile): Import[] {
  const text = withoutComments(file.text);
  const found: Import[] = [];
  for (const match of text.matchAll(/^\s*(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?['"]([^'"\n]+)['"]/gm)) {
    found.push({ specifier: match[2] ?? '', typeOnly: match[1] !== undefined });
  }
  for (const match of text.matchAll(/\b(?:import|require|require\.resolve)\(\s*['"]([^'"\n]+)['"]/g)) {
    found.push({ specifier: match[1] ?? '', typeOnly: false });
  }
  return found;
}

/** The project path that a relative import means; undefined for packages and built-in modules. */
export function importedPath(file: SourceFile, specifier: string): string | undefined {
  return specifier.startsWith('.') ? posix.join(dirname(file.path), specifier) : undefined;
}

/** The package that an import names; undefined for relative imports and built-in modules. */
export function importedPackage(specifier: string): string | undefined {
  if (specifier.startsWith('.') || specifier.startsWith('node:')) return undefined;
  const parts = specifier.split('/');
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : parts[0];
}
