#!/usr/bin/env node
// deploy/setup.mjs — from a fresh clone to something that runs: npm start, npm test, npm run build.
//
// Plain JavaScript without a single npm package, since it runs before there are any. It looks for
// what is missing (Debian packages, npm packages, builds), says so, gets it, and hands over.
// Nothing is done twice: each step knows from a hash whether its inputs have changed.
//
// usage: node deploy/setup.mjs --run GOAL [--] [args...], where GOAL is
//   addon, ts, build, native-tests, bench, quickstart or test

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  benchEnv,
  benchProgram,
  buildAddon,
  buildBench,
  buildNative,
  buildTypeScript,
  installModules,
} from './setup/build.mjs';
import { ensurePackages } from './setup/packages.mjs';
import { root, SetupError, say, sayOnStandardError } from './setup/progress.mjs';
import { runTiers } from './setup/tiers.mjs';

const nodeMinimum = [20, 19];

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > nodeMinimum[0] || (major === nodeMinimum[0] && minor >= nodeMinimum[1])) return;
  throw new SetupError(
    `Node ${nodeMinimum.join('.')} or newer is needed; this is ${process.versions.node} ` +
      `(${process.execPath}). See https://nodejs.org/en/download for current packages.`,
  );
}

function checkRoot(what) {
  if (process.getuid() === 0) return;
  throw new SetupError(
    `${what} makes network namespaces, which needs root: run it as root, for example with sudo.`,
  );
}

// Runs a program in our place: same terminal, its exit code is ours. Ctrl-C in a terminal reaches
// it directly; other signals, and an interrupt sent to this process alone, are passed on.
function handOver(command, args, env = {}) {
  return new Promise((resolve, reject) => {
    const options = { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } };
    const child = spawn(command, args, options);
    const passOn = (signal) => {
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    };
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
      process.removeAllListeners(signal);
      process.on(signal, passOn);
    }
    child.on('error', reject);
    child.on('exit', (code, signal) => resolve(signal === null ? code : 1));
  });
}

async function quickstart(args) {
  checkRoot('The quickstart');
  await ensurePackages('start');
  await installModules();
  await buildAddon();
  await buildTypeScript();
  const script = join(root, 'dist', 'cli', 'quickstart.js');
  if (!existsSync(script)) throw new SetupError('dist/cli/quickstart.js was not built');
  return handOver(process.execPath, [script, ...args]);
}

async function test(tiers) {
  checkRoot('The test of two hosts');
  await ensurePackages('test');
  await installModules({ withNativeTestModules: true });
  return runTiers(tiers);
}

// What makes a bench say more, but what it can do without.
async function wantPackages(goal) {
  try {
    await ensurePackages(goal);
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(error.message);
  }
}

// Views of what was measured before: nothing needs to be built for them but themselves.
const benchViews = ['tables', 'plot', 'page'];

// Without a name it only lists them. Standard output is the bench's alone.
async function bench(args) {
  sayOnStandardError();
  const [name] = args.filter((arg) => !arg.startsWith('-'));
  const isMeasured = name !== undefined && !benchViews.includes(name);
  if (isMeasured) await ensurePackages('bench');
  if (['peers', 'netns', 'rfc2544'].includes(name)) await wantPackages(name);
  await installModules();
  if (isMeasured) {
    await buildAddon();
    await buildTypeScript();
    await buildNative('bench');
  }
  await buildBench();
  return handOver(process.execPath, [benchProgram, ...args], benchEnv);
}

const goals = {
  addon: () => buildAddon(),
  ts: () => buildTypeScript(),
  build: async () => {
    await installModules();
    await buildAddon();
    await buildTypeScript();
  },
  'native-tests': async ([tree = 'plain']) => {
    await installModules();
    await buildNative(tree);
  },
  bench,
  quickstart,
  test,
};

async function main(argv) {
  const [flag, goal, ...rest] = argv;
  if (flag !== '--run' || goals[goal] === undefined) {
    throw new SetupError(
      `usage: node deploy/setup.mjs --run ${Object.keys(goals).join('|')} [--] [args...]`,
    );
  }
  checkNode();
  const args = rest[0] === '--' ? rest.slice(1) : rest;
  return (await goals[goal](args)) ?? 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  say(`error: ${error.message}`);
  process.exitCode = 1;
}
