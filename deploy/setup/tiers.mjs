// deploy/setup/tiers.mjs — every test tier in turn, and one sum: `N passed, N failed`.
//
// A tier answers with counts; a program that crashes, hangs or cannot be built counts as one
// failure. A tier without files is named as absent, and is a failure if `requiredTiers` has it,
// so that no tier can disappear unnoticed.

import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  benchEnv,
  benchProgram,
  buildAddon,
  buildBench,
  buildEnv,
  buildNative,
  buildTypeScript,
} from './build.mjs';
import { root, run, SetupError, say, tail } from './progress.mjs';

/** Tiers whose absence is a failure. */
export const requiredTiers = [
  'tidy',
  'typecheck',
  'lint',
  'unit',
  'native',
  'native-asan',
  'native-tsan',
  'fuzz',
  'bench',
  'switch',
  'e2e',
];

const minuteMs = 60_000;
const fuzzRunCount = 20_000;
const fuzzSecondsMax = 30;
// Benches that also serve as smoke tests, run with --quick.
const smokeBenches = ['datapath', 'peers', 'connections', 'flow', 'upcall', 'translate', 'netns'];
const benchLacks = 3; // exit code of a bench: this machine has not what it needs

const tiers = {
  tidy: { files: () => below('test', /^tidy\.test\.ts$/), run: () => vitest('tidy', 5) },
  typecheck: { files: () => below('src', /\.ts$/), run: typecheck },
  lint: { files: () => below('src', /\.ts$/), run: lint },
  unit: { files: () => below('test/unit', /\.test\.ts$/), run: () => vitest('unit', 15) },
  native: { files: nativeTests, run: () => googleTest('plain') },
  'native-asan': { files: nativeTests, run: () => googleTest('asan') },
  'native-tsan': { files: nativeTests, run: () => googleTest('tsan') },
  fuzz: { files: () => below('test/fuzz', /_fuzz\.cpp$/), run: fuzz },
  bench: { files: () => below('bench', /\.ts$/), run: bench },
  switch: { files: () => below('test/switch', /\.test\.ts$/), run: () => vitest('switch', 20) },
  e2e: { files: () => below('test/e2e', /\.test\.ts$/), run: () => vitest('e2e', 60) },
};

/** Runs the named tiers, or all, and prints the sum last; resolves with the exit code. */
export async function runTiers(names) {
  const unknown = names.filter((name) => tiers[name] === undefined);
  if (unknown.length > 0) {
    throw new SetupError(
      `no tier ${unknown.join(', ')}; there are ${Object.keys(tiers).join(', ')}`,
    );
  }
  const chosen = names.length > 0 ? names : Object.keys(tiers);
  const results = await prepare(chosen);
  for (const name of chosen) results.push({ name, ...(await runTier(name)) });

  const width = Math.max(...results.map(({ name }) => name.length));
  process.stdout.write('\n');
  for (const { name, passed, failed, skipped, note } of results) {
    const counts = `${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ''}`;
    process.stdout.write(`  ${name.padEnd(width)}  ${counts}${note ? `  (${note})` : ''}\n`);
  }
  const passed = results.reduce((sum, result) => sum + result.passed, 0);
  const failed = results.reduce((sum, result) => sum + result.failed, 0);
  process.stdout.write(`${passed} passed, ${failed} failed\n`);
  return failed === 0 && passed > 0 ? 0 : 1;
}

const count = (passed, failed, more = {}) => ({ passed, failed, skipped: 0, ...more });

// The addon and dist/ are what switch and e2e test, e2e the benches' generator too; a build that
// fails is a failure of its own.
async function prepare(chosen) {
  const results = [];
  const builds = [];
  if (chosen.some((name) => ['unit', 'switch', 'e2e', 'bench'].includes(name))) {
    builds.push(['build: addon', buildAddon]);
  }
  if (chosen.some((name) => ['switch', 'e2e', 'bench'].includes(name))) {
    builds.push(['build: TypeScript', buildTypeScript]);
  }
  // The generator of the benches.
  if (chosen.includes('e2e')) builds.push(['build: native benches', () => buildNative('bench')]);
  for (const [name, build] of builds) {
    try {
      await build();
    } catch (error) {
      if (!(error instanceof SetupError)) throw error;
      say(error.message);
      results.push({ name, ...count(0, 1) });
    }
  }
  return results;
}

async function runTier(name) {
  if (tiers[name].files().length === 0) {
    say(`tier ${name}: absent, it has no files`);
    return count(0, requiredTiers.includes(name) ? 1 : 0, { note: 'absent' });
  }
  say(`tier ${name}`);
  const began = Date.now();
  let result;
  try {
    result = await tiers[name].run();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(error.message);
    result = count(0, 1);
  }
  const seconds = ((Date.now() - began) / 1000).toFixed(1);
  say(`tier ${name}: ${result.passed} passed, ${result.failed} failed in ${seconds} s`);
  return result;
}

function below(folder, wanted) {
  const path = join(root, folder);
  if (!existsSync(path)) return [];
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && wanted.test(entry.name))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}

function nativeTests() {
  return below('test/native', /_test\.cpp$/);
}

// A fresh path below build-reports/, so that a report of an earlier run cannot be taken for ours.
function reportPath(name) {
  const folder = join(root, 'build-reports');
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${name}.json`);
  rmSync(path, { force: true });
  return path;
}

function readReport(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

async function vitest(project, minutes) {
  const path = reportPath(project);
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${path}`];
  const { code } = await run('vitest', ['run', '--project', project, ...reporters], {
    env: buildEnv(),
    show: true,
    timeoutMs: minutes * minuteMs,
  });
  const report = readReport(path);
  if (report === undefined) return count(0, 1, { note: 'no report' });
  const brokenFiles = report.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((t) => t.status === 'failed'),
  ).length;
  const passed = report.numPassedTests;
  const skipped = report.numPendingTests + (report.numTodoTests ?? 0);
  let failed = report.numFailedTests + brokenFiles;
  if (failed === 0 && (code !== 0 || passed === 0)) failed = 1;
  return count(passed, failed, { skipped });
}

// One command that is one test.
async function check(command, args, minutes = 10, env = {}) {
  const { code, output } = await run(command, args, {
    env: { ...buildEnv(), ...env },
    timeoutMs: minutes * minuteMs,
  });
  if (code === 0) return count(1, 0);
  process.stdout.write(`${tail(output)}\n`);
  return count(0, 1);
}

const sum = (a, b) =>
  count(a.passed + b.passed, a.failed + b.failed, { skipped: a.skipped + b.skipped });

async function typecheck() {
  const sources = await check('tsc', ['-p', 'tsconfig.json', '--noEmit']);
  return sum(sources, await check('tsc', ['-p', 'tsconfig.test.json']));
}

function lint() {
  return check('biome', ['check', '--colors=off', '--max-diagnostics=50']);
}

// Sanitizer runtimes of older compilers cannot map their shadow when the kernel randomises
// addresses with more than 28 bits; setarch -R switches that off for the one program.
function sanitized(program, args) {
  return ['setarch', [process.arch === 'arm64' ? 'aarch64' : 'x86_64', '-R', program, ...args]];
}

const sanitizerEnv = {
  ASAN_OPTIONS: 'detect_leaks=1:strict_string_checks=1',
  UBSAN_OPTIONS: 'print_stacktrace=1',
  TSAN_OPTIONS: 'halt_on_error=0:second_deadlock_stack=1',
};

async function googleTest(tree) {
  const folder = await buildNative(tree);
  const path = reportPath(`native-${tree}`);
  const args = ['--gtest_brief=1', '--gtest_color=no', `--gtest_output=json:${path}`];
  const program = join(folder, 'native_tests');
  const [command, all] = tree === 'plain' ? [program, args] : sanitized(program, args);
  const options = { env: sanitizerEnv, timeoutMs: 15 * minuteMs };
  const { code, output } = await run(command, all, options);
  if (code !== 0) process.stdout.write(`${tail(output)}\n`);
  for (const [, reason] of output.matchAll(/: Skipped\n(.+)/g)) say(`  skipped: ${reason}`);
  const report = readReport(path);
  if (report === undefined) return count(0, 1, { note: `no report, ended with ${code}` });
  const cases = report.testsuites.flatMap((suite) => suite.testsuite);
  const ran = cases.filter((one) => one.status === 'RUN' && one.result === 'COMPLETED');
  let failed = ran.filter((one) => one.failures !== undefined).length;
  const passed = ran.length - failed;
  if (failed === 0 && (code !== 0 || passed === 0)) failed = 1;
  return count(passed, failed, { skipped: cases.length - ran.length });
}

async function fuzz() {
  const folder = await buildNative('asan');
  let total = count(0, 0);
  for (const source of tiers.fuzz.files()) {
    const name = source
      .split('/')
      .at(-1)
      .replace(/\.cpp$/, '');
    total = sum(total, await fuzzOne(folder, name));
  }
  return total;
}

// The committed corpus is copied, since libFuzzer writes what it finds into the folder it reads.
async function fuzzOne(folder, name) {
  const corpus = mkdtempSync(join(tmpdir(), `vtep-${name}-`));
  const committed = join(root, 'test', 'fuzz', 'corpus', name);
  if (existsSync(committed)) cpSync(committed, corpus, { recursive: true });
  const [command, args] = sanitized(join(folder, name), [
    `-runs=${fuzzRunCount}`,
    `-max_total_time=${fuzzSecondsMax}`,
    '-seed=1',
    '-max_len=4096',
    '-verbosity=0',
    `-artifact_prefix=${folder}/`,
    corpus,
  ]);
  const result = await check(command, args, 5, sanitizerEnv);
  rmSync(corpus, { recursive: true, force: true });
  say(`  ${name}: ${result.failed === 0 ? 'no finding' : 'FAILED'}`);
  return result;
}

async function bench() {
  await buildNative('bench');
  await buildBench();
  let total = count(0, 0);
  for (const name of smokeBenches) total = sum(total, await smokeBench(name));
  return total;
}

async function smokeBench(name) {
  const args = [benchProgram, name, '--quick', '--json'];
  const options = { env: { ...buildEnv(), ...benchEnv }, timeoutMs: 5 * minuteMs };
  const { code, output } = await run(process.execPath, args, options);
  if (code === benchLacks) {
    say(`  ${name}: skipped: ${tail(output, 1)}`);
    return count(0, 0, { skipped: 1 });
  }
  for (const [line] of output.matchAll(/^skipped: .+$/gm)) say(`  ${name}: ${line}`);
  say(`  ${name}: ${code === 0 ? 'runs' : 'FAILED'}`);
  if (code !== 0) process.stdout.write(`${tail(output)}\n`);
  return code === 0 ? count(1, 0) : count(0, 1);
}
