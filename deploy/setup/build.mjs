// deploy/setup/build.mjs — npm packages, the addon, the TypeScript, the native trees.
//
// Every build leaves a stamp with the hash of its inputs and is skipped while that is unchanged.
// Builds of one clone take turns (flock), so `npm start` and `npm test` may run side by side.

import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism } from 'node:os';
import { delimiter, dirname, join, relative, resolve } from 'node:path';
import { root, run, SetupError, say, step, tail } from './progress.mjs';

const lockFile = join(root, 'build-lock');
const binFolder = join(root, 'node_modules', '.bin');

/** The CMake trees: where, and what cmake-js is told of them. */
export const nativeTrees = {
  plain: { folder: 'build-native', options: ['--config', 'RelWithDebInfo'] },
  asan: {
    folder: 'build-asan',
    options: [...checked(), '--CDVTEP_SANITIZE=address,undefined', '--CDVTEP_FUZZ=ON'],
  },
  bench: {
    folder: 'build-native-bench',
    options: ['--config', 'Release', '--CDVTEP_TESTS=OFF', '--CDVTEP_BENCH=ON'],
  },
  tsan: { folder: 'build-tsan', options: [...checked(), '--CDVTEP_SANITIZE=thread'] },
};

function checked() {
  return ['--config', 'RelWithDebInfo', '--cc', 'clang', '--cxx', 'clang++'];
}

/**
 * PATH with the project's tools in front; headers beside the node binary spare node-gyp a
 * download, which is also the only way on machines that cannot reach nodejs.org.
 */
export function buildEnv() {
  const env = { PATH: `${binFolder}${delimiter}${process.env.PATH ?? ''}` };
  const prefix = resolve(dirname(process.execPath), '..');
  if (existsSync(join(prefix, 'include', 'node', 'node_api.h'))) env.npm_config_nodedir = prefix;
  return env;
}

function filesBelow(folder, wanted) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && wanted.test(entry.name))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}

function hashOf(files, ...more) {
  const hash = createHash('sha256');
  for (const text of more) hash.update(`${text}\0`);
  for (const file of files) {
    hash.update(`${relative(root, file)}\0`);
    hash.update(readFileSync(file));
  }
  return hash.digest('hex');
}

const atRoot = (...names) =>
  names.map((name) => join(root, name)).filter((path) => existsSync(path));
const isFresh = (stamp, hash) => existsSync(stamp) && readFileSync(stamp, 'utf8') === hash;

function writeStamp(stamp, hash) {
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, hash);
}

function locked(title, command, args, options) {
  if (!existsSync('/usr/bin/flock')) return step(title, command, args, options);
  return step(title, 'flock', ['-w', '900', lockFile, command, ...args], options);
}

/**
 * Installs npm packages if node_modules is missing or belongs to another lock file.
 * withNativeTestModules also compiles `cap` and `raw-socket`, which only the tests use.
 */
export async function installModules({ withNativeTestModules = false } = {}) {
  const hash = hashOf(atRoot('package-lock.json'));
  const stamp = join(root, 'node_modules', '.vtepd-lock-hash');
  if (!isFresh(stamp, hash)) {
    const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund'];
    await step('installing npm packages', 'npm', args, { env: buildEnv() });
    writeStamp(stamp, hash);
  }
  if (!withNativeTestModules) return;
  const built = ['cap/build/Release/cap.node', 'raw-socket/build/Release/raw.node'];
  if (built.every((path) => existsSync(join(root, 'node_modules', path)))) return;
  try {
    const args = ['rebuild', 'cap', 'raw-socket'];
    await step('compiling the test packages cap and raw-socket', 'npm', args, { env: buildEnv() });
  } catch {
    throw new SetupError(
      'the test packages cap and raw-socket did not compile; they need g++, make, python3, ' +
        "Node's headers and libpcap's (Debian package libpcap-dev). Only the tests use them.",
    );
  }
}

/** Builds build/Release/vtep.node if a native source, the recipe or Node's ABI has changed. */
export async function buildAddon() {
  const sources = filesBelow(join(root, 'native'), /\.(cpp|h|hpp|def|inc|mjs)$/);
  const recipe = atRoot('binding.gyp', 'package-lock.json');
  const hash = hashOf([...recipe, ...sources], process.versions.modules, process.arch);
  const stamp = join(root, 'build', '.vtepd-hash');
  if (existsSync(join(root, 'build', 'Release', 'vtep.node')) && isFresh(stamp, hash)) return;
  const jobs = String(availableParallelism());
  const args = ['configure', 'build', '--jobs', jobs];
  await locked('building the addon', 'node-gyp', args, { env: buildEnv() });
  writeStamp(stamp, hash);
}

/** Compiles src/ to dist/ if it has changed, and removes what no longer has a source. */
export async function buildTypeScript() {
  const sources = filesBelow(join(root, 'src'), /\.(ts|json)$/);
  if (sources.length === 0) throw new SetupError('src/ holds no TypeScript');
  const hash = hashOf([...atRoot('tsconfig.json', 'package-lock.json'), ...sources]);
  const stamp = join(root, 'dist', '.vtepd-hash');
  if (isFresh(stamp, hash)) return;
  rmSync(stamp, { force: true });
  const args = ['-p', join(root, 'tsconfig.json')];
  await locked('compiling the TypeScript', 'tsc', args, { env: buildEnv() });
  for (const file of filesBelow(join(root, 'dist'), /\.js(\.map)?$/)) {
    const stem = relative(join(root, 'dist'), file).replace(/\.js(\.map)?$/, '');
    if (!existsSync(join(root, 'src', `${stem}.ts`))) rmSync(file);
  }
  writeStamp(stamp, hash);
}

/** What compiled benches need to know: addon and programs are not where they are for src/. */
export const benchEnv = {
  VTEPD_ADDON: join(root, 'build', 'Release', 'vtep.node'),
  VTEPD_DIST: join(root, 'dist'),
};

/** What buildBench() makes: lists the benches, or runs the one that it is told. */
export const benchProgram = join(root, 'build-bench', 'bench', 'main.js');

/** Compiles bench/ and what it imports to build-bench/ if any of it may have changed. */
export async function buildBench() {
  const folders = ['bench', 'src', join('test', 'support')];
  const sources = folders.flatMap((folder) =>
    filesBelow(join(root, folder), /\.(ts|json|py|mjs)$/),
  );
  const recipe = atRoot('tsconfig.json', 'tsconfig.bench.json', 'package-lock.json');
  const hash = hashOf([...recipe, ...sources]);
  const stamp = join(root, 'build-bench', '.vtepd-hash');
  if (isFresh(stamp, hash)) return;
  const args = ['-p', join(root, 'tsconfig.bench.json')];
  await locked('compiling the benches', 'tsc', args, { env: buildEnv() });
  // Scripts that test/support runs, beside what it was compiled to.
  const support = join('test', 'support');
  for (const script of filesBelow(join(root, support), /\.(py|mjs)$/)) {
    cpSync(script, join(root, 'build-bench', relative(root, script)));
  }
  writeStamp(stamp, hash);
}

/**
 * Configures and builds one of nativeTrees with cmake-js; resolves with its folder. The generator
 * is named, since cmake-js prefers Ninja from the day that it is installed, and CMake then refuses
 * the tree. native/package.json keeps cmake-js from downloading headers; these trees use none.
 */
export async function buildNative(name) {
  const tree = nativeTrees[name];
  if (tree === undefined) {
    throw new SetupError(
      `no native tree ${name}; there are ${Object.keys(nativeTrees).join(', ')}`,
    );
  }
  const folder = join(root, tree.folder);
  const place = ['--directory', join(root, 'native'), '--out', folder];
  const args = [...place, '--generator', 'Unix Makefiles', '--log-level', 'warn', ...tree.options];
  const { code, output } = await run('cmake-js', ['configure', ...args], { env: buildEnv() });
  if (code !== 0) {
    say(tail(output));
    throw new SetupError(`cmake-js could not configure ${tree.folder}`);
  }
  const build = ['build', ...args, '--parallel', String(availableParallelism())];
  await locked(`building ${tree.folder}`, 'cmake-js', build, { env: buildEnv() });
  say(`${tree.folder} is ready`);
  return folder;
}
