// native/sources.mjs — the one list of native sources, for both binding.gyp and CMakeLists.txt.
//
// usage: node native/sources.mjs <set>     prints one path per line, relative to the repository
//        node native/sources.mjs --count <set>
//
// core     every .cpp below native/ but binding/, built for the baseline CPU
// avx2     the *_avx2.cpp of the same folders, built with -mavx2 -mbmi2 (x86-64 only)
// binding  native/binding, the Node addon's own sources
// Files named main.cpp or *_main.cpp are programs, not parts of the library, and are left out.

import { readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const nativeFolder = dirname(fileURLToPath(import.meta.url));
const root = dirname(nativeFolder);

const isProgram = (path) => /(^|[/_])main\.cpp$/.test(path);
const isAvx2 = (path) => path.endsWith('_avx2.cpp');
const isBinding = (path) => path.startsWith('native/binding/');

const sets = {
  core: (path) => !isBinding(path) && !isAvx2(path),
  avx2: (path) => isAvx2(path),
  binding: (path) => isBinding(path) && !isAvx2(path),
};

function nativeSources() {
  return readdirSync(nativeFolder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.cpp'))
    .map((entry) => relative(root, join(entry.parentPath ?? entry.path, entry.name)))
    .filter((path) => !isProgram(path))
    .sort();
}

const args = process.argv.slice(2);
const wanted = sets[args.at(-1)];
if (wanted === undefined) {
  throw new Error(`usage: node native/sources.mjs [--count] ${Object.keys(sets).join('|')}`);
}
const found = nativeSources().filter(wanted);
const answer = args[0] === '--count' ? String(found.length) : found.join('\n');
process.stdout.write(`${answer}\n`);
