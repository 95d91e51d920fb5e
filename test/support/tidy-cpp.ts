// support/tidy-cpp.ts — reads C++ just well enough to measure it: text without comments, functions.
//
// No C++ parser: a scan for comments and literals, then a count of braces. It knows a function by
// what stands before its brace. Strange code may fool it; the code here is not meant to be strange.

export interface MeasuredFunction {
  readonly name: string;
  /** First line of its header, from 1. */
  readonly line: number;
  readonly lineCount: number;
  readonly parameterCount: number;
}

const literalOrComment = new RegExp(
  [
    /\/\/[^\n]*/, // line comment
    /\/\*[\s\S]*?\*\//, // block comment
    /R"(\w*)\([\s\S]*?\)\1"/, // raw string
    /"(?:\\.|[^"\\\n])*"/, // string
    /(?<!\w)'(?:\\.|[^'\\\n])+'/, // character, not a digit separator
  ]
    .map((part) => part.source)
    .join('|'),
  'g',
);

/** The text with every comment and literal blanked; lines keep their numbers. */
export function withoutCommentsAndLiterals(text: string): string {
  return text.replace(literalOrComment, (found) => {
    const lines = found.replace(/[^\n]/g, '');
    return found.startsWith('/') ? ` ${lines}` : `""${lines}`;
  });
}

// Preprocessor lines hold braces and parentheses of their own; continued lines go with them.
function withoutPreprocessor(text: string): string {
  return text.replace(/^[ \t]*#(?:[^\n]*\\\n)*[^\n]*/gm, (found) => found.replace(/[^\n]/g, ''));
}

type ScopeKind = 'outer' | 'function' | 'inner';

interface Scope {
  readonly kind: ScopeKind;
  readonly header: string;
  readonly line: number;
}

function kindOf(header: string, parent: ScopeKind): ScopeKind {
  if (parent !== 'outer') return 'inner';
  const bare = header
    .replace(
      /\[\[[^\]]*\]\]|\b(alignas|__attribute__|requires|decltype|noexcept)\s*\(+[^)]*\)+/g,
      ' ',
    )
    .replace(/\btemplate\s*<[^{}]*?>(?=\s*[\w[:~])/g, ' ');
  if (/\bnamespace\b|\bextern\s*""\s*$/.test(bare)) return 'outer';
  if (/\b(class|struct|union|enum)\b[^()]*$/.test(bare)) return 'outer';
  return bare.includes('(') ? 'function' : 'inner';
}

/** Counts the commas of a parameter list that belong to it and not to something nested. */
function parameterCount(header: string): number {
  const call = /operator\s*\(\s*\)\s*\(/.exec(header);
  const open = call === null ? header.indexOf('(') : call.index + call[0].length - 1;
  let depth = 0;
  let count = 0;
  let sawText = false;
  for (const char of header.slice(open + 1)) {
    if (char === ')' && depth === 0) break;
    if ('(<[{'.includes(char)) depth += 1;
    if (')>]}'.includes(char)) depth -= 1;
    if (char === ',' && depth === 0) count += 1;
    if (/\S/.test(char)) sawText = true;
  }
  return sawText ? count + 1 : 0;
}

function functionName(header: string): string {
  return (
    /([\w~:]+|operator[^\w\s]+(?:\s*\(\s*\))?)\s*\(/.exec(header)?.[1] ?? header.trim().slice(0, 40)
  );
}

/** Every function body of a C++ text, with its length and number of parameters. */
export function cppFunctions(text: string): MeasuredFunction[] {
  const code = withoutPreprocessor(withoutCommentsAndLiterals(text));
  const functions: MeasuredFunction[] = [];
  const scopes: Scope[] = [];
  let header = '';
  let headerLine = 1;
  let line = 1;
  for (const char of code) {
    if (char === '{') {
      const parent = scopes.at(-1)?.kind ?? 'outer';
      scopes.push({ kind: kindOf(header, parent), header, line: headerLine });
      header = '';
    } else if (char === '}') {
      const scope = scopes.pop();
      if (scope?.kind === 'function') functions.push(measured(scope, line));
      header = '';
    } else if (char === ';') {
      header = '';
    } else {
      if (header.trim() === '') headerLine = line;
      header += char;
      if (/(public|private|protected):$/.test(header)) header = '';
    }
    if (char === '\n') line += 1;
  }
  return functions;
}

function measured(scope: Scope, lastLine: number): MeasuredFunction {
  const isInitializer = /^\s*,/.test(scope.header);
  return {
    name: functionName(scope.header),
    line: scope.line,
    lineCount: lastLine - scope.line + 1,
    parameterCount: isInitializer ? 0 : parameterCount(scope.header),
  };
}
