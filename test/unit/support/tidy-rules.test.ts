// unit/support/tidy-rules.test.ts — every house rule is shown a violation, and must see it.

import { describe, expect, it } from 'vitest';
import { cppFunctions, withoutCommentsAndLiterals } from '../../support/tidy-cpp.ts';
import {
  checkFunctions,
  checkHeader,
  checkHotWords,
  checkImports,
  checkIncludes,
  checkLines,
  checkMirrors,
  checkNotes,
  checkPortable,
  checkSyntax,
  untestedDropReasons,
} from '../../support/tidy-rules.ts';

const longBody = (lineCount: number) => `${'\n'.repeat(lineCount - 1)}`;

describe('reading C++', () => {
  it('comments and literals are blanked and lines keep their numbers', () => {
    const text = 'a(); // throw\n/* new\nnew */ b("throw", \'"\', 1\'000);\nR"(new)";';
    const bare = withoutCommentsAndLiterals(text);
    expect(bare).not.toMatch(/throw|new/);
    expect(bare.split('\n')).toHaveLength(4);
    expect(bare).toContain("1'000");
  });

  it('functions, methods, constructors and operators are found with lines and parameters', () => {
    const text = [
      'namespace vtep {',
      'template <class T, class U>',
      'struct alignas(64) Box : public Base<T, U> {',
      '  Box(int a, std::map<int, int> b) : a_{a}, b_(b) {',
      '    if (a) { run(a, 1, 2); }',
      '  }',
      '  bool operator()(int x) const { return x; }',
      '  int values[2] = {1, 2};',
      '};',
      'enum class Kind : uint8_t { A, B };',
      'static void spread(int a,',
      '                   int b = f(1, 2)) noexcept {',
      '}',
      '}',
    ].join('\n');
    const found = cppFunctions(text).map((f) => [f.line, f.lineCount, f.parameterCount]);
    expect(found).toContainEqual([7, 1, 1]);
    expect(found).toContainEqual([11, 3, 2]);
    expect(found).toContainEqual([4, 3, 0]);
    expect(found.every(([, lineCount = 0]) => lineCount <= 3)).toBe(true);
  });
});

describe('the rules', () => {
  it('a header must exist, name the file, and say why', () => {
    const path = 'src/lib/a.ts';
    const good = '// lib/a.ts — does a.\n//\n// Because of b.\n';
    expect(checkHeader({ path, text: good })).toEqual([]);
    expect(checkHeader({ path, text: 'export const a = 1;\n' })).toHaveLength(1);
    expect(checkHeader({ path, text: good.replace('a.ts', 'b.ts') })).toHaveLength(1);
    expect(checkHeader({ path, text: '// lib/a.ts — does a.\nconst a = 1;\n' })).toHaveLength(1);
  });

  it('a line of 101 columns and a file of 601 lines are too long', () => {
    expect(checkLines({ path: 'a.ts', text: 'x'.repeat(100) })).toEqual([]);
    expect(checkLines({ path: 'a.ts', text: 'x'.repeat(101) })).toHaveLength(1);
    expect(checkLines({ path: 'a.ts', text: 'x\n'.repeat(600) })).toEqual([]);
    expect(checkLines({ path: 'a.ts', text: 'x\n'.repeat(601) })).toHaveLength(1);
  });

  it('a function of 71 lines or 6 parameters is refused in both languages', () => {
    const cpp = (body: number, parameters: string) => ({
      path: 'native/base/a.cpp',
      text: `void f(${parameters}) {${longBody(body)}}\n`,
    });
    expect(checkFunctions(cpp(70, 'int a, int b, int c, int d, int e'))).toEqual([]);
    expect(checkFunctions(cpp(71, 'int a'))).toHaveLength(1);
    expect(checkFunctions(cpp(2, 'int a, int b, int c, int d, int e, int g'))).toHaveLength(1);
    const script = (body: number, parameters: string) => ({
      path: 'src/lib/a.ts',
      text: `const f = (${parameters}) => {${longBody(body)}};\n`,
    });
    expect(checkFunctions(script(70, 'a, b, c, d, e'))).toEqual([]);
    expect(checkFunctions(script(71, 'a'))).toHaveLength(1);
    expect(checkFunctions(script(2, 'a, b, c, d, e, g'))).toHaveLength(1);
  });

  it('a block of tests may be long, a test may not', () => {
    const path = 'test/unit/a.test.ts';
    const block = `describe('a', () => {${longBody(200)}});`;
    expect(checkFunctions({ path, text: block })).toEqual([]);
    expect(checkFunctions({ path, text: block.replace('describe', 'it') })).toHaveLength(1);
  });

  it('native includes against the order of layers, and Node outside binding, are refused', () => {
    const layers = { base: [], packet: ['base'], binding: ['base', 'packet'] };
    const file = (path: string, text: string) => checkIncludes({ path, text }, layers);
    expect(file('native/packet/a.h', '#include "base/be.h"\n#include <vector>')).toEqual([]);
    expect(file('native/base/a.h', '#include "packet/packet.h"')).toHaveLength(1);
    expect(file('native/packet/a.h', '#include <napi.h>')).toHaveLength(1);
    expect(file('native/binding/a.cpp', '#include <napi.h>')).toEqual([]);
    expect(file('native/misc/a.h', '')).toHaveLength(1);
  });

  it('TypeScript imports against the order of layers, and I/O in pure folders, are refused', () => {
    const layers = { lib: [], pipeline: ['lib'], slowpath: ['lib', 'pipeline'] };
    const file = (path: string, text: string) => checkImports({ path, text }, layers, ['pipeline']);
    expect(file('src/slowpath/a.ts', "import { b } from '../pipeline/b.ts';")).toEqual([]);
    expect(file('src/lib/a.ts', "import { b } from '../pipeline/b.ts';")).toHaveLength(1);
    expect(file('src/lib/a.ts', "export * from '../pipeline/b.ts';")).toHaveLength(1);
    expect(file('src/lib/a.ts', "const b = await import('../pipeline/b.ts');")).toHaveLength(1);
    expect(file('src/lib/a.ts', "import { b } from '../../test/b.ts';")).toHaveLength(1);
    expect(file('src/pipeline/a.ts', "import { readFileSync } from 'node:fs';")).toHaveLength(1);
    expect(file('src/lib/a.ts', "import { readFileSync } from 'node:fs';")).toEqual([]);
  });

  it('words banned in the packet path are seen in code and not in comments', () => {
    const lines = ['throw x;', 'new X;', 'malloc(1);', 'std::mutex m;', 'printf("x");'];
    const path = 'native/flow/a.cpp';
    expect(checkHotWords({ path, text: lines.join('\n') })).toHaveLength(lines.length);
    expect(checkHotWords({ path, text: '// new and throw\nauto newest = 1;' })).toEqual([]);
    expect(checkHotWords({ path, text: 'throw Error();' }, ['throw'])).toEqual([]);
    expect(checkHotWords({ path, text: 'throw new Error();' }, ['throw'])).toHaveLength(1);
  });

  it('any, enum, namespace, default export, console.log are seen, words in strings are not', () => {
    const lines = [
      'const a: any = 1;',
      'enum E { A }',
      'namespace N { export const a = 1; }',
      'export default 1;',
      'console.log(1);',
    ];
    const path = 'src/lib/a.ts';
    expect(checkSyntax({ path, text: lines.join('\n') }, false)).toHaveLength(lines.length);
    expect(checkSyntax({ path, text: lines.join('\n') }, true)).toHaveLength(lines.length - 1);
    expect(checkSyntax({ path, text: "switch (1) { default: x('any enum'); }" }, false)).toEqual(
      [],
    );
  });

  it('notes without a name, machine folders and registries are refused', () => {
    const note = (text: string) => checkNotes({ path: 'a.ts', text });
    expect(note(`// ${'TO'}${'DO'}: later`)).toHaveLength(1);
    expect(note(`// ${'TO'}${'DO'}(ann): Say which.`)).toEqual([]);
    const portable = (text: string) => checkPortable({ path: 'a', text }, ['/srv/clone']);
    expect(portable('see /srv/clone/src')).toHaveLength(1);
    expect(portable('see /srv/clones and x/srv/clone')).toEqual([]);
    expect(portable(`"${'https'}://registry.example.org/left-pad"`)).toHaveLength(1);
  });

  it('a source file needs a test of its name, unless it is excused or holds only types', () => {
    const files = [
      { path: 'src/lib/a.ts', text: 'export const a = 1;' },
      { path: 'src/lib/ab.ts', text: 'export const a = 1;' },
      { path: 'src/lib/types.ts', text: "import type { A } from './a.ts';\nexport type B = A;" },
      { path: 'src/cli/demo/x.ts', text: 'export const a = 1;' },
    ];
    const tests = ['test/unit/lib/a-more.test.ts'];
    expect(checkMirrors(files, tests, ['src/cli/demo/'])).toEqual([
      'src/lib/ab.ts: no test/unit/lib/ab.test.ts',
    ]);
  });

  it('a drop reason is tested when a test names its enumerator or its name', () => {
    const definitions = 'DROP(TooShort, too_short, "x")\nDROP(BadVlan, bad_vlan, "x")\n';
    expect(untestedDropReasons(definitions, 'DropReason::TooShort')).toHaveLength(1);
    expect(untestedDropReasons(definitions, "'too_short' 'bad_vlan'")).toEqual([]);
    expect(untestedDropReasons(definitions, 'bad_vlan_too')).toHaveLength(2);
  });
});
