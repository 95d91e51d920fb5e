// support/tidy-rules.ts — the house rules as functions: files in, complaints out.
//
// Every rule returns one line per violation, "path:line: what is wrong, what to do instead", so
// that a failing tidy test reads as a list of things to do. The rules know no file of the
// repository by name; the tables with names and reasons are in tidy.test.ts.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cppFunctions, type MeasuredFunction, withoutCommentsAndLiterals } from './tidy-cpp.ts';
import { typeScriptFacts } from './tidy-ts.ts';

export const limits = { fileLines: 600, functionLines: 70, parameters: 5, columns: 100 };

export interface SourceFile {
  /** Relative to the repository, with slashes. */
  readonly path: string;
  readonly text: string;
}

export const repository = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** What git knows or would add, as text; binary fixtures are left out. */
export function repositoryFiles(): SourceFile[] {
  const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
  const listed = execFileSync('git', args, { cwd: repository, encoding: 'utf8' });
  return listed
    .split('\0')
    .filter((path) => path !== '' && !/\.(pcapng|pcap|png|bin|gz)$/.test(path))
    .flatMap((path) => {
      try {
        return [{ path, text: readFileSync(join(repository, path), 'utf8') }];
      } catch {
        return []; // Deleted in the work tree, not yet in the index.
      }
    });
}

export const isCpp = ({ path }: SourceFile): boolean => /\.(cpp|h)$/.test(path);
export const isTypeScript = ({ path }: SourceFile): boolean => path.endsWith('.ts');
export const isSource = ({ path }: SourceFile): boolean => /\.(cpp|h|c|def|ts|mjs)$/.test(path);

/** The first line names the file and says in one sentence what it is; more lines say why. */
export function checkHeader({ path, text }: SourceFile): string[] {
  const [first = '', second = ''] = text.replace(/^#![^\n]*\n/, '').split('\n');
  const named = /^\/\/ (\S+) — \S/.exec(first)?.[1];
  const example = `// ${path} — one sentence.`;
  if (named === undefined) return [`${path}:1: no file header, begin with "${example}"`];
  if (path !== named && !path.endsWith(`/${named}`)) {
    return [`${path}:1: the header names ${named}, not this file`];
  }
  // A .cpp may leave the essay to its header, a test to its names.
  const mayBeShort = path.endsWith('.cpp') || path.startsWith('test/');
  if (!second.startsWith('//') && !mayBeShort) {
    return [`${path}:2: the header says what, not why: add a paragraph`];
  }
  return [];
}

/** Length of the file and of its lines; lines that only carry an address may be longer. */
export function checkLines({ path, text }: SourceFile): string[] {
  const lines = text.split('\n');
  const found = lines.flatMap((line, index) =>
    [...line].length > limits.columns && !line.includes('://') && !path.endsWith('.def')
      ? [`${path}:${index + 1}: ${[...line].length} columns, at most ${limits.columns}`]
      : [],
  );
  const count = lines.at(-1) === '' ? lines.length - 1 : lines.length;
  if (count > limits.fileLines) found.push(`${path}: ${count} lines, at most ${limits.fileLines}`);
  return found;
}

export function checkFunctions(file: SourceFile): string[] {
  const functions: readonly MeasuredFunction[] = isCpp(file)
    ? cppFunctions(file.text)
    : typeScriptFacts(file.path, file.text).functions;
  return functions.flatMap(({ name, line, lineCount, parameterCount }) => {
    const at = `${file.path}:${line}: ${name}`;
    const found: string[] = [];
    if (lineCount > limits.functionLines) {
      found.push(`${at} has ${lineCount} lines, at most ${limits.functionLines}`);
    }
    if (parameterCount > limits.parameters) {
      found.push(
        `${at} has ${parameterCount} parameters, at most ${limits.parameters}: group them`,
      );
    }
    return found;
  });
}

export type Layers = Readonly<Record<string, readonly string[]>>;

/** native/: a folder includes only itself and the folders that `layers` gives it. */
export function checkIncludes({ path, text }: SourceFile, layers: Layers): string[] {
  const folder = path.split('/')[1] ?? '';
  const allowed = layers[folder];
  if (allowed === undefined)
    return [`${path}: native/${folder} has no place in the order of layers`];
  const found: string[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const [, quote, included = ''] = /^\s*#\s*include\s*([<"])([^>"]+)/.exec(line) ?? [];
    const at = `${path}:${index + 1}:`;
    if (/^(napi|node_api|js_native_api|uv)\b/.test(included) && folder !== 'binding') {
      found.push(`${at} ${included} belongs to native/binding only`);
    }
    if (quote !== '"') continue;
    const target = included.includes('/') ? (included.split('/')[0] ?? '') : folder;
    if (target !== folder && !allowed.includes(target)) {
      found.push(`${at} ${folder} may not include ${target}`);
    }
  }
  return found;
}

/** The folder of src/ a file belongs to; files directly in src/ are their own. */
function sourceFolder(path: string): string {
  const parts = path.split('/').slice(1);
  return parts[0] ?? '';
}

/** src/: the same for TypeScript imports; `pure` folders import nothing that does I/O. */
export function checkImports(file: SourceFile, layers: Layers, pure: readonly string[]): string[] {
  const folder = sourceFolder(file.path);
  const allowed = layers[folder];
  if (allowed === undefined)
    return [`${file.path}: src/${folder} has no place in the order of layers`];
  const found: string[] = [];
  for (const specifier of typeScriptFacts(file.path, file.text).imports) {
    if (specifier.startsWith('.')) {
      const target = posix.normalize(posix.join(posix.dirname(file.path), specifier));
      const targetFolder = sourceFolder(target);
      if (!target.startsWith('src/'))
        found.push(`${file.path}: imports ${specifier}, outside src/`);
      else if (targetFolder !== folder && !allowed.includes(targetFolder)) {
        found.push(`${file.path}: ${folder} may not import ${targetFolder} (${specifier})`);
      }
    } else if (pure.includes(folder) && !/^(node:)?assert/.test(specifier)) {
      found.push(`${file.path}: ${folder} does no I/O and needs no packages (${specifier})`);
    }
  }
  return found;
}

const hotWords: readonly [RegExp, string][] = [
  [/\bthrow\b/, 'throw is banned in the packet path, count a drop reason'],
  [/\bnew\b/, 'new is banned in the packet path, allocate at start'],
  [/\b(malloc|calloc|realloc)\s*\(/, 'malloc is banned in the packet path, allocate at start'],
  [/\bstd::(recursive_|shared_)?mutex\b/, 'locks are banned in the packet path, use a ring'],
  [/\b(f|s|sn|v|d)?printf\s*\(/, 'printf is banned in the packet path, count or raise an event'],
  [/\bstd::(cout|cerr)\b/, 'workers never log, count or raise an event'],
];

/** Words that must not stand in the folders that touch every packet, but for those excused. */
export function checkHotWords({ path, text }: SourceFile, excused: readonly string[] = []) {
  const lines = withoutCommentsAndLiterals(text).split('\n');
  return lines.flatMap((line, index) =>
    hotWords.flatMap(([word, advice]) =>
      word.test(line) && !excused.some((one) => word.test(one))
        ? [`${path}:${index + 1}: ${advice}`]
        : [],
    ),
  );
}

/** A note to do something must say who and what, in the form of `TODO` with a name and a colon. */
export function checkNotes({ path, text }: SourceFile): string[] {
  const vague = /\b(TODO(?!\([\w-]+\): \S)|FIXME|XXX)\b/;
  return text.split('\n').flatMap((line, index) => {
    const word = vague.exec(line)?.[1];
    return word === undefined
      ? []
      : [`${path}:${index + 1}: ${word} without a name and a sentence`];
  });
}

/** any, enum, namespace, default exports; console.log where it is not allowed. */
export function checkSyntax(file: SourceFile, mayPrint: boolean): string[] {
  return typeScriptFacts(file.path, file.text)
    .forbidden.filter((what) => !(mayPrint && what.includes('console.log')))
    .map((what) => `${file.path}:${what}`);
}

/** Text that only means something on one machine: its folders, or a package registry's address. */
export function checkPortable(
  { path, text }: SourceFile,
  machinePaths: readonly string[],
): string[] {
  return text.split('\n').flatMap((line, index) => {
    const at = `${path}:${index + 1}:`;
    const local = machinePaths.find((folder) => namesFolder(line, folder));
    if (local !== undefined) return [`${at} names ${local}, a folder of this machine`];
    if (/https?:\/\/[^\s"'/]*(registry|npmjs|artifactory|nexus)[^\s"'/]*\//.test(line)) {
      return [`${at} names a package registry`];
    }
    return [];
  });
}

function namesFolder(line: string, folder: string): boolean {
  const index = line.indexOf(folder);
  if (index < 0) return false;
  const before = line[index - 1] ?? ' ';
  const after = line[index + folder.length] ?? ' ';
  return !/[\w.~-]/.test(before) && !/[\w-]/.test(after);
}

/**
 * Files of src/ that no test of test/unit is named after: src/a/b.ts wants test/unit/a/b.test.ts
 * or test/unit/a/b-something.test.ts. Files of types only have nothing to test.
 */
export function checkMirrors(
  files: readonly SourceFile[],
  testPaths: readonly string[],
  excused: readonly string[],
): string[] {
  const isExcused = (path: string) =>
    excused.some((name) => path === name || (name.endsWith('/') && path.startsWith(name)));
  return files
    .filter(({ path, text }) => {
      const stem = path.replace(/^src\//, 'test/unit/').replace(/\.ts$/, '');
      const isTested = testPaths.some(
        (test) => test.startsWith(stem) && /^[-.]/.test(test.slice(stem.length)),
      );
      return !isTested && !isExcused(path) && !typeScriptFacts(path, text).isTypesOnly;
    })
    .map(
      ({ path }) => `${path}: no ${path.replace(/^src/, 'test/unit').replace(/ts$/, 'test.ts')}`,
    );
}

/** Names of native/base/drop_reasons.def that no test mentions, as DropReason::Name or "name". */
export function untestedDropReasons(definitions: string, tests: string): string[] {
  const entries = [...definitions.matchAll(/^DROP\((\w+),\s*(\w+),/gm)];
  const words = new Set(tests.match(/\w+/g));
  return entries
    .filter(([, enumerator = '', name = '']) => !words.has(name) && !words.has(enumerator))
    .map(([, , name]) => `drop reason ${name}: no test makes a packet end by it`);
}
